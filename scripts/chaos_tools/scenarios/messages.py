"""Messages that arrive a hundred times, unreadable ones, and those of other programs."""

import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

import amqp

from chaos_tools.checks.queues import dead_letters, monitor_depth
from chaos_tools.cluster import ChaosCluster
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.scenario import RESTART_SECONDS, scenario
from chaos_tools.workload.external_messages import ANOMALIES, customer_of, order
from devservices import wait_until
from pizza.topology import (
    KITCHEN_QUEUE,
    NOTIFICATIONS_FANOUT,
    NOTIFICATIONS_QUEUE,
    ORDERS_TOPIC,
    STATION_QUEUES,
    TOPOLOGY,
    TRACKING_STATUS_QUEUE,
    TYPED_QUEUES,
    subscriber_queue,
)

COPIES = 100
COPIED = 5  # messages of each exchange that are sent again
LISTEN_SECONDS = 10.0
EXTERNAL, VALID = 1100, 100
SEEN_SECONDS = 8.0
RETURNED_SECONDS = 5.0
SETTLED_SECONDS = 120.0
POISON: tuple[tuple[bytes, dict[str, Any]], ...] = (
    (b"{", {}),
    (b"\xff\x00\xfe", {}),
    (b"", {"application_headers": {"task": "cook_order"}}),
    (b"[" * 100_000, {"application_headers": {"task": "unknown"}}),
    (b"{}", {"message_id": "none of ours", "application_headers": {"task": 7}}),
)


@scenario("the same messages again, a hundred times each")
def duplicates(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Messages of orders and notifications, half at once, half when their orders are done."""
    with cluster.broker_channel() as channel:
        copied = [
            *copy_messages(channel, ORDERS_TOPIC),
            *copy_messages(channel, NOTIFICATIONS_FANOUT),
        ]
        for pause in (0.0, seconds / 2):
            time.sleep(pause)
            random.shuffle(copied)
            for exchange, key, message in copied:
                for _ in range(COPIES // 2):
                    channel.basic_publish(message, exchange, key)
    time.sleep(seconds / 2)


@scenario("unreadable messages, in every queue")
def poison(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Each goes to the dead letters, and the queue moves on."""
    queues = [queue.name for queue in (*TOPOLOGY.queues, subscriber_queue(SUBSCRIBER))]
    doses = [(queue, *dose) for queue in queues for dose in POISON]
    random.shuffle(doses)
    with cluster.broker_channel() as channel:
        for queue, body, properties in doses:
            channel.basic_publish(amqp.Message(body, **properties), "", queue)
            time.sleep(seconds / len(doses))


@scenario(
    f"{EXTERNAL:,} orders of other programs and no cook; then every odd property",
    recovery=RESTART_SECONDS,
)
def foreign_garbage(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Each of them becomes an order or a dead letter with its reason; none stops a queue."""
    external = external_orders()
    random.shuffle(external)
    with cluster.without_cooks(), monitor_depth(cluster, external[0].queue) as monitor:
        send(cluster, external)
        time.sleep(SEEN_SECONDS)
        # The keeper may have received some, to check them.
        if not wait_until(lambda: monitor.depth >= len(external), RETURNED_SECONDS):
            cluster.report.fail(f"{len(external) - monitor.depth} were taken out of the queue")
    odd = anomalous_messages()
    random.shuffle(odd)
    send(cluster, odd)
    external += odd
    wait_until(lambda: not lost(cluster, external), SETTLED_SECONDS)
    cluster.report.lost += [f"{each.what} in {each.queue}" for each in lost(cluster, external)]
    counts = Counter(customer_of(body) for body, _ in dead_letters(cluster))
    cluster.report.doubled += [
        f"dead letter of {each.what}" for each in external if counts[each.customer] > 1
    ]


def copy_messages(channel: amqp.Channel, exchange: str) -> list[tuple[str, str, amqp.Message]]:
    """The next messages through an exchange, each with its way there."""
    queue = channel.queue_declare(exclusive=True).queue
    channel.queue_bind(queue, exchange, "#")
    found: list[tuple[str, str, amqp.Message]] = []

    def copy_next() -> bool:
        if message := channel.basic_get(queue, no_ack=True):
            copy = amqp.Message(message.body, **message.properties)
            found.append((exchange, message.delivery_info["routing_key"], copy))
        return len(found) >= COPIED

    wait_until(copy_next, LISTEN_SECONDS)
    channel.queue_delete(queue)  # it must not receive what is sent again
    return found


@dataclass(frozen=True)
class ExternalMessage:
    """A message of another program, identified by its customer; what it is, and its queue."""

    customer: str
    queue: str
    what: str
    message: amqp.Message


def external_orders() -> list[ExternalMessage]:
    """Orders of other programs, the first VALID of them sound; those after them order nothing."""
    found = []
    for number in range(EXTERNAL):
        customer, sound = f"External {number}", number < VALID
        what, body = ("order", order(customer)) if sound else ("bad order", order(customer, 0))
        found.append(ExternalMessage(customer, TYPED_QUEUES["takeout"], what, amqp.Message(body)))
    return found


def anomalous_messages() -> list[ExternalMessage]:
    """A message for each anomaly and each kind of queue."""
    queues = (
        TYPED_QUEUES["takeout"],
        KITCHEN_QUEUE,
        NOTIFICATIONS_QUEUE,
        TRACKING_STATUS_QUEUE,
        subscriber_queue(SUBSCRIBER).name,
        STATION_QUEUES[0],
    )
    found = []
    for (number, anomaly), queue in product(enumerate(ANOMALIES), queues):
        customer = f"Odd {number} in {queue}"
        message = anomaly.message(customer)
        found.append(ExternalMessage(customer, queue, anomaly.what, message))
    return found


def send(cluster: ChaosCluster, messages: list[ExternalMessage]) -> None:
    """Publish each to its queue; the broker has confirmed all of them when this returns."""
    with cluster.broker_channel() as channel:
        for each in messages:
            channel.basic_publish_confirm(each.message, "", each.queue)


def lost(cluster: ChaosCluster, external: list[ExternalMessage]) -> list[ExternalMessage]:
    """Those that are neither an order nor a dead letter with a reason."""
    known = {name for (name,) in cluster.rows("select customer_name from orders")}
    known |= {
        name for body, reason in dead_letters(cluster) if reason and (name := customer_of(body))
    }
    return [each for each in external if each.customer not in known]
