"""The task of a cook: received → cooking → ready, in two transactions."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pizza.domain.estimate import cooking_seconds
from pizza.domain.order import ORDER_TYPES
from pizza.kitchen.storage import FINISH_COOKING, START_COOKING
from pizza.taskqueue import Blueprint, Job, RetryPolicy
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import sanitize_text
from pizza.taskqueue.task import TIME_LIMIT_S
from pizza.topology import KITCHEN_QUEUE, ORDERS_TOPIC

log = logging.getLogger(__name__)

# With these delays an order is retried for about an hour.
_RETRY = RetryPolicy(max_attempts=20, initial_delay=1.0, multiplier=2.0, max_delay=300.0)
_HIGH_PRIORITY = 10
# The fields of an order message (SQL function order_message).
FIELDS = frozenset((
    "order_number", "customer_name", "customer_type", "order_type", "table_number",
    "delivery_address", "items", "total_amount", "priority", "rush", "created_at", "stage",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """The fields of an order message that workers use.

    extra: its unknown fields, alternately a name and a value as JSON, for the order's next message.
    """

    number: str
    order_type: str
    extra: list[str] | None = None


def parse_order_message(body: Any) -> OrderMessage:
    """Parse an order message. Raises PoisonMessage, naming the field that is bad."""
    if not isinstance(body, dict):
        raise PoisonMessage("the order message is not a JSON object")
    number, order_type = body.get("order_number"), body.get("order_type")
    if not isinstance(number, str) or not number:
        raise PoisonMessage("order_number is missing or not text")
    if order_type not in ORDER_TYPES:
        raise PoisonMessage(f"order_type is not one of {', '.join(ORDER_TYPES)}")
    # A later release may have added fields.
    unknown = body.keys() - FIELDS
    return OrderMessage(number, order_type, _fields(body, unknown) if unknown else None)


def _fields(body: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Fields of a message, alternately names and JSON, if PostgreSQL can store the name."""
    kept = [name for name in sorted(names) if sanitize_text(name) == name]
    return [part for name in kept for part in (name, json.dumps(body[name]))]


def claim_order(job: Job, statement: str, **parameters: Any) -> dict[str, Any]:
    """Claim a job and start its order with one statement; returns the row.

    Raises PoisonMessage if there is no such order.
    """
    number = job.body.number
    row = job.execute_claiming(statement, number=number, worker=job.worker_name, **parameters)
    if row["status"] is None:
        raise PoisonMessage(f"there is no order {number}")
    return row


def complete_order(job: Job, statement: str, **parameters: Any) -> dict[str, Any] | None:
    """Complete a job and its order's stage with one statement; returns the row.

    Returns None, and logs it, if somebody else has ended the order.
    """
    message: OrderMessage = job.body
    parameters |= {"number": message.number, "worker": job.worker_name, "more": message.extra}
    row = job.execute_completing(statement, **parameters)
    if row is None or row["status"] is None:
        text = "Order was ended by somebody else"
        log_action(log.info, "order_ended_elsewhere", text, order_number=message.number)
        return None
    return row


def cook_tasks(base_seconds: float) -> Blueprint:
    """A blueprint with the task of cooks. base_seconds: the cooking time of a takeout."""
    blueprint = Blueprint("kitchen")

    @blueprint.task(
        "cook_order",
        queue=KITCHEN_QUEUE,
        exchange=ORDERS_TOPIC,
        retry=_RETRY,
        decode=parse_order_message,
        manual_claim=True,
        time_limit=TIME_LIMIT_S + 2 * base_seconds,
    )
    def cook_order(job: Job) -> None:
        message: OrderMessage = job.body
        number = message.number
        seconds = cooking_seconds(message.order_type, base_seconds)
        order = claim_order(job, START_COOKING, cooking=timedelta(seconds=seconds))
        if order["status"] != "cooking":
            text = f"Order is {order['status']}; nothing to cook"
            log_action(log.info, "order_skipped", text, order_number=number)
            return
        _log_started(number, order)
        job.sleep(seconds)
        if done := complete_order(job, FINISH_COOKING, type=message.order_type):
            _log_finished(number, done)

    return blueprint


def _log_started(number: str, order: dict[str, Any]) -> None:
    high = order["priority"] >= _HIGH_PRIORITY
    details = {"priority": order["priority"], "order_type": order["type"]}
    if order["taken_from"]:
        details["taken_from"] = order["taken_from"]
    text = "Processing HIGH PRIORITY order" if high else "Processing order"
    log_action(log.info, "order_processing", text, details, order_number=number)


def _log_finished(number: str, done: dict[str, Any]) -> None:
    log_action(
        log.info,
        "order_completed",
        "Order is ready",
        {"waited_s": round(done["waited"], 3), "cooked_s": round(done["cooked"], 3)},
        order_number=number,
        duration_ms=round(done["cooked"] * 1000),
    )
