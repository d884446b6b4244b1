"""The cook on Celery, tuned: late acks, prefetch 1, a priority queue, confirms, nothing idle on."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from kombu import Queue

from benchmarks.peers.cook import PeerCook

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

_cook: list[PeerCook] = []


@worker_process_init.connect
def connect_cook(**_: Any) -> None:
    """Connect after the fork."""
    _cook.append(PeerCook())


@app.task
def cook_order(number: str) -> None:
    """Cook one order."""
    _cook[0].cook(number)
