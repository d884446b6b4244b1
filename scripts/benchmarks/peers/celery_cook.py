"""The cook on Celery, tuned: late acks, prefetch 1, a priority queue, confirms, nothing idle on."""

import os
from collections.abc import Iterable

from celery import Celery
from kombu import Queue

from benchmarks.peers.cook import cook

QUEUE = "bench_celery"

app = Celery("bench", broker=f"amqp://guest:guest@{os.environ.get('RABBITMQ', '')}//")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    task_store_eager_result=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_transport_options={"confirm_publish": True},
    task_queues=[Queue(QUEUE, queue_arguments={"x-max-priority": 10})],
    task_default_queue=QUEUE,
)
cook_order = app.task(cook)


def send(backlog: Iterable[tuple[str, int]]) -> None:
    """Send (number, priority) each, persistent and confirmed."""
    with app.producer_pool.acquire(block=True) as producer:
        for number, priority in backlog:
            cook_order.apply_async((number,), priority=priority, producer=producer)
