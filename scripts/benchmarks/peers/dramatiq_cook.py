"""The cook on Dramatiq, tuned: prefetch 1 (by its environment), a priority queue, confirms."""

import os
from collections.abc import Iterable

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import AgeLimit, Pipelines, TimeLimit

from benchmarks.peers.cook import cook

broker = RabbitmqBroker(
    url=f"amqp://guest:guest@{os.environ.get('RABBITMQ', '')}/%2F",
    confirm_delivery=True,
    max_priority=10,
)
# What an order has no use for costs it no time.
broker.middleware = [
    each for each in broker.middleware if not isinstance(each, AgeLimit | Pipelines | TimeLimit)
]
dramatiq.set_broker(broker)
cook_order = dramatiq.actor(queue_name="bench_dramatiq")(cook)


def send(backlog: Iterable[tuple[str, int]]) -> None:
    """Send (number, priority) each, persistent and confirmed."""
    for number, priority in backlog:
        cook_order.send_with_options(args=(number,), broker_priority=priority)
