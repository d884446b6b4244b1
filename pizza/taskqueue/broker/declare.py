"""Declares a topology, and explains what RabbitMQ refuses."""

import re
from collections.abc import Callable
from typing import Any

import amqp
from kombu import Exchange, binding

from pizza.taskqueue.broker.errors import text_of
from pizza.taskqueue.topology import Topology

# A virtual host may have another default type; only classic queues know x-max-priority, and a
# queue's consumers rely on its order. RabbitMQ treats classic and no type as equal where classic is
# the default, so a release that declares without a type works with the same queues.
_CLASSIC = {"x-queue-type": "classic"}
_DIFFERENCE = re.compile(r"inequivalent arg '([^']*)'.* but current is (.*)")


def declare(channel: amqp.Channel, topology: Topology) -> list[str]:
    """Declare exchanges, queues and bindings; what exists stays as it is.

    A queue that names no type in its arguments (x-queue-type) is declared as a classic queue.
    channel: used for nothing else, because each refusal closes it (py-amqp opens it again).
    Returns a sentence for each refusal; everything else is declared. What the user may not
    configure counts as declared when it exists. Raises what py-amqp raises for a lost connection.
    """
    refusals = []
    for exchange in _exchanges(topology):
        refusals += _declare("exchange", exchange.name, exchange(channel).declare)
    queue: Any
    for queue in (each(channel) for each in topology.queues):
        if not queue.no_declare:
            queue.queue_arguments = _CLASSIC | (queue.queue_arguments or {})
            refusals += _declare("queue", queue.name, queue.queue_declare) or _bind_queue(queue)
    return refusals


def _exchanges(topology: Topology) -> list[Exchange]:
    """Those of the topology, and those that only its queues name."""
    found = list(topology.exchanges)
    for queue in topology.queues:
        named = (queue.exchange, *(each.exchange for each in queue.bindings or ()))
        known = {each.name for each in found}
        found += [each for each in named if each and each.name and each.name not in known]
    return found


def _declare(kind: str, name: str, attempt: Callable[..., object]) -> list[str]:
    what = f"{kind} {name}"
    try:
        attempt()
    except amqp.AccessRefused as refusal:
        if _exists(attempt):
            return []
        return [
            f"the user may not declare {what} ({text_of(refusal)}): "
            f"grant configure on {name}, or declare it beforehand"
        ]
    except amqp.PreconditionFailed as refusal:
        text = text_of(refusal)
        found = _DIFFERENCE.search(text)
        present = f"with {found[1]} being {found[2]}" if found else "as it is"
        return [f"{what} cannot be declared ({text}): delete the {kind}, or declare it {present}"]
    except amqp.NotFound as refusal:
        text = text_of(refusal)
        if "inaccessible" in text:  # its node of a cluster is down
            raise
        return [f"{what} does not exist ({text}): declare it beforehand"]
    except amqp.ResourceLocked as refusal:
        return [f"{what} belongs to another connection ({text_of(refusal)}): close that first"]
    return []


def _exists(attempt: Callable[..., object]) -> bool:
    """Whether a passive declaration, for which no permission is needed, finds it."""
    try:
        attempt(passive=True)
    except amqp.NotFound:
        return False
    return True


def _bind_queue(queue: Any) -> list[str]:
    main = binding(queue.exchange, queue.routing_key, queue.binding_arguments)
    refusals = []
    for each in (main, *queue.bindings):
        if not each.exchange or not each.exchange.name:  # the default exchange: always bound
            continue
        exchange = each.exchange.name
        try:
            each.bind(queue)
        except (amqp.AccessRefused, amqp.NotFound, amqp.PreconditionFailed) as refusal:
            remedy = (
                f"grant write on {queue.name} and read on {exchange}"
                if isinstance(refusal, amqp.AccessRefused)
                else f"declare exchange {exchange} first, of a type that knows this binding"
            )
            refusals.append(
                f"queue {queue.name} cannot be bound to exchange {exchange} "
                f"with key {each.routing_key!r} ({text_of(refusal)}): {remedy}"
            )
    return refusals
