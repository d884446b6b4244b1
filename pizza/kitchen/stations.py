"""The tasks of the stations after the kitchen: quality, packaging, courier.

A station's task starts with one fenced statement, works, and completes with another. To add a
station, add a row to pizza/domain/stations.py and a task here (docs/stations.md).
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import Any

from pizza.domain.stations import station
from pizza.domain.status import DELIVERED, OUT_FOR_DELIVERY
from pizza.kitchen.cooking import (
    OrderMessage,
    claim_order,
    complete_order,
    parse_order_message,
)
from pizza.kitchen.storage import FINISH_STATION, SEND_BACK, START_STATION
from pizza.taskqueue import Blueprint, Job, RetryPolicy
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.task import TIME_LIMIT_S
from pizza.topology import ORDERS_TOPIC, TYPED_QUEUES

log = logging.getLogger(__name__)

_RETRY = RetryPolicy(max_attempts=20, initial_delay=1.0, multiplier=2.0, max_delay=300.0)
# The time of a delivery, relative to that of the other stations.
_DELIVERY_FACTOR = 2.5


@dataclass(frozen=True, slots=True)
class StationTiming:
    """seconds: the time for each order; send_back_percent: share that quality sends back."""

    seconds: float = 2.0
    send_back_percent: float = 0.0


def station_tasks(timing: StationTiming) -> Blueprint:
    """A blueprint with the tasks of all stations; a worker consumes the queue of one."""
    blueprint = Blueprint("stations")

    def task(name: str) -> Any:
        row = station(name)
        return blueprint.task(
            row.task,
            queue=row.queue,
            retry=_RETRY,
            decode=parse_order_message,
            manual_claim=True,
            time_limit=TIME_LIMIT_S + 2 * _DELIVERY_FACTOR * timing.seconds,
        )

    @task("quality")
    def check_quality(job: Job) -> None:
        if not _start(job, "quality"):
            return
        job.sleep(timing.seconds)
        if random.random() * 100 < timing.send_back_percent:  # noqa: S311
            _send_back(job, "quality", "did not pass the quality check")
        else:
            _complete(job, "quality")

    @task("packaging")
    def package_order(job: Job) -> None:
        if _start(job, "packaging"):
            job.sleep(timing.seconds)
            _complete(job, "packaging")

    @task("courier")
    def deliver_order(job: Job) -> None:
        if _start(job, "courier", new_status=OUT_FOR_DELIVERY):
            job.sleep(timing.seconds * _DELIVERY_FACTOR)
            _complete(job, "courier", new_status=DELIVERED)

    return blueprint


def _start(job: Job, name: str, new_status: str | None = None) -> bool:
    """Claim the order for the station; False if it is no longer due there."""
    number = job.body.number
    order = claim_order(job, START_STATION, station=name, status=new_status)
    if order["stage"] is None:
        text = f"Order is {order['status']}; nothing to do here"
        log_action(log.info, "order_skipped", text, order_number=number)
        return False
    text, priority = f"Order is at {name}", order["priority"]
    log_action(log.info, "station_started", text, order_number=number, priority=priority)
    return True


def _complete(job: Job, name: str, new_status: str | None = None) -> None:
    """Complete the station's work; the order continues to the next one."""
    order_type = job.body.order_type
    done = complete_order(job, FINISH_STATION, station=name, type=order_type, status=new_status)
    if done is not None:
        where = f"goes on to {done['stage']}" if done["stage"] else f"is {done['status']}"
        _log(job, "station_completed", f"Order {where}", name)


def _send_back(job: Job, name: str, reason: str) -> None:
    message: OrderMessage = job.body
    notes = f"sent back by {job.worker_name}: {reason}"
    job.execute_completing(
        SEND_BACK,
        number=message.number,
        station=name,
        worker=job.worker_name,
        queue=TYPED_QUEUES[message.order_type],
        exchange=ORDERS_TOPIC,
        notes=notes,
        more=message.extra,
    )
    _log(job, "order_sent_back", f"Order was {notes}", name)


def _log(job: Job, action: str, text: str, station: str) -> None:
    log_action(log.info, action, text, {"station": station}, order_number=job.body.number)
