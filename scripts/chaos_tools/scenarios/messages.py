"""Messages that arrive a hundred times, and unreadable ones."""

import time
from random import Random
from typing import Any

import amqp

from chaos_tools.cluster import ChaosCluster
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.scenario import scenario
from devservices import wait_until
from pizza.topology import NOTIFICATIONS_FANOUT, ORDERS_TOPIC, TOPOLOGY, subscriber_queue

COPIES = 100
COPIED = 5  # messages of each exchange that are sent again
LISTEN_SECONDS = 10.0
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
