"""The stations behind the kitchen, as tasks: quality, packaging, courier.

A station's task begins with one guarded statement, works for a while, and ends with another. To
add one, add a row to pizza/domain/stations.py and a task here (docs/stations.md).
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import Any

from pizza.database.queries import Queries
from pizza.domain.stations import station
from pizza.domain.status import DELIVERED, OUT_FOR_DELIVERY
from pizza.kitchen.cooking import OrderMessage, parse_order_message
from pizza.taskqueue import Blueprint, Job, RetryPolicy
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.task import TIME_LIMIT_S
from pizza.topology import ORDERS_TOPIC, TYPED_QUEUES

log = logging.getLogger(__name__)

_SQL = Queries("restaurant/stations")
_START, _FINISH, _SEND_BACK = _SQL.start, _SQL.finish, _SQL.send_back

_RETRY = RetryPolicy(max_attempts=20, initial_delay=1.0, multiplier=2.0, max_delay=300.0)
# A drive takes longer than a look or a box.
_DRIVE = 2.5


@dataclass(frozen=True, slots=True)
class Work:
    """How a station works: seconds for each order; how many of a hundred quality sends back."""

    seconds: float = 2.0
    send_back_percent: float = 0.0


def stations(work: Work) -> Blueprint:
    """All stations' tasks; a worker serves the queue of one of them."""
    blueprint = Blueprint("stations")

    def task(name: str) -> Any:
        row = station(name)
        return blueprint.task(
            row.task, queue=row.queue, retry=_RETRY, decode=parse_order_message, manual_claim=True,
            time_limit=TIME_LIMIT_S + 2 * _DRIVE * work.seconds,
        )  # fmt: skip

    @task("quality")
    def check_quality(job: Job) -> None:
        if not _begin(job, "quality"):
            return
        job.sleep(work.seconds)
        if random.random() * 100 < work.send_back_percent:  # noqa: S311
            _send_back(job, "quality", "did not pass the quality check")
        else:
            _end(job, "quality")

    @task("packaging")
    def package_order(job: Job) -> None:
        if _begin(job, "packaging"):
            job.sleep(work.seconds)
            _end(job, "packaging")

    @task("courier")
    def deliver_order(job: Job) -> None:
        if _begin(job, "courier", becomes=OUT_FOR_DELIVERY):
            job.sleep(work.seconds * _DRIVE)
            _end(job, "courier", becomes=DELIVERED)

    return blueprint


def _begin(job: Job, name: str, becomes: str | None = None) -> bool:
    """Claim the order for the station; False when it is somewhere else by now."""
    message: OrderMessage = job.body
    order = job.execute_claiming(
        _START, number=message.number, station=name, worker=job.worker_name, status=becomes
    )
    if order["status"] is None:
        raise PoisonMessage(f"there is no order {message.number}")
    if order["stage"] is None:
        _log(message.number, "order_skipped", f"Order is {order['status']}; nothing to do here")
        return False
    _log(message.number, "station_started", f"Order is at {name}", priority=order["priority"])
    return True


def _end(job: Job, name: str, becomes: str | None = None) -> None:
    """The station is done with the order, which goes on."""
    message: OrderMessage = job.body
    done = job.execute_completing(
        _FINISH, number=message.number, station=name, worker=job.worker_name,
        type=message.order_type, status=becomes, more=message.more,
    )  # fmt: skip
    if done is None or done["status"] is None:
        _log(message.number, "order_ended_elsewhere", "Order was ended by somebody else")
        return
    where = f"goes on to {done['stage']}" if done["stage"] else f"is {done['status']}"
    _log(message.number, "station_completed", f"Order {where}", details={"station": name})


def _send_back(job: Job, name: str, reason: str) -> None:
    message: OrderMessage = job.body
    notes = f"sent back by {job.worker_name}: {reason}"
    job.execute_completing(
        _SEND_BACK, number=message.number, station=name, worker=job.worker_name,
        queue=TYPED_QUEUES[message.order_type], exchange=ORDERS_TOPIC, notes=notes,
        more=message.more,
    )  # fmt: skip
    _log(message.number, "order_sent_back", f"Order was {notes}", details={"station": name})


def _log(number: str, action: str, text: str, **more: Any) -> None:
    log.info(text, extra={"action": action, "order_number": number, **more})
