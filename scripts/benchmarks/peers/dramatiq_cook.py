"""The cook on Dramatiq, tuned: prefetch 1 (by its environment), a priority queue, confirms."""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import AgeLimit, Pipelines, TimeLimit

from benchmarks.peers.cook import PeerCook

QUEUE = "bench_dramatiq"

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

_cook: list[PeerCook] = []


@dramatiq.actor(queue_name=QUEUE)
def cook_order(number: str) -> None:
    """Cook one order; there is one thread in each process."""
    if not _cook:
        _cook.append(PeerCook())
    _cook[0].cook(number)
