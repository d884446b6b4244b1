"""Exchanges, queues and bindings as data; each connection declares them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kombu import Exchange, Queue

DEFAULT_MAX_PRIORITY = 10


@dataclass(frozen=True, slots=True)
class Topology:
    """What must exist at the broker. Queues carry their bindings (kombu's `Queue.bindings`)."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        return Topology(self.exchanges + other.exchanges, self.queues + other.queues)

    def with_queues(self, names: Iterable[str]) -> Topology:
        """This topology, and a durable priority queue for each name that it does not have.

        Such a queue is reached through the default exchange, with its name as routing key.
        """
        known = {queue.name for queue in self.queues}
        missing = [
            Queue(name, durable=True, queue_arguments={"x-max-priority": DEFAULT_MAX_PRIORITY})
            for name in dict.fromkeys(names)
            if name not in known
        ]
        return self + Topology(queues=tuple(missing)) if missing else self

    def max_priority(self, queue: str) -> int | None:
        """The highest priority of a queue; None if it has no priorities or is unknown."""
        each: Any
        for each in self.queues:
            if each.name == queue:
                limit = (each.queue_arguments or {}).get("x-max-priority", each.max_priority)
                return int(limit) if limit is not None else None
        return None


DEAD_LETTER_EXCHANGE = "dead_letters"
DEAD_LETTER_QUEUE = "dead_letter_queue"

_dead_letters = Exchange(DEAD_LETTER_EXCHANGE, type="topic", durable=True)
DEAD_LETTERS = Topology(
    exchanges=(_dead_letters,),
    queues=(Queue(DEAD_LETTER_QUEUE, _dead_letters, routing_key="#", durable=True),),
)
