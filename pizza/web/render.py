"""Domain objects as JSON, by hand: exact money, times in UTC with a `Z`, no detour by dicts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from pizza.domain.order import OrderStatus, PlacedOrder, StatusChange

if TYPE_CHECKING:
    from pizza.storage.workers import WorkerStatus

_text = json.encoder.encode_basestring_ascii


def placed(order: PlacedOrder) -> str:
    """The answer to POST /orders; the amount is a JSON number with two places."""
    return (
        f'{{"order_number":{_text(order.number)},"status":{_text(order.status)},'
        f'"total_amount":{_money(order.total_amount)},"priority":{order.priority},'
        f'"order_type":{_text(order.order_type)},"customer_name":{_text(order.customer_name)},'
        f'"created_at":{_time(order.created_at)},'
        f'"estimated_completion":{_time(order.estimated_completion)}}}\n'
    )


def status(order: OrderStatus) -> str:
    """The answer to GET /orders/{number}/status."""
    return (
        f'{{"order_number":{_text(order.number)},"current_status":{_text(order.status)},'
        f'"updated_at":{_time(order.updated_at)},'
        f'"estimated_completion":{_time(order.estimated_completion)},'
        f'"processed_by":{_text_or_null(order.processed_by)},'
        f'"order_type":{_text(order.order_type)},"priority":{order.priority},'
        f'"completed_at":{_time(order.completed_at)}}}\n'
    )


def history(changes: list[StatusChange]) -> str:
    """The answer to GET /orders/{number}/history."""
    return _lines(
        f'{{"status":{_text(change.status)},"timestamp":{_time(change.timestamp)},'
        f'"changed_by":{_text(change.changed_by)},"notes":{_text_or_null(change.notes)}}}'
        for change in changes
    )


def workers(found: list[WorkerStatus]) -> str:
    """The answer to GET /workers/status."""
    return _lines(
        f'{{"worker_name":{_text(worker.name)},"type":{_text(worker.type)},'
        f'"status":{_text(worker.status)},"orders_processed":{worker.orders_processed},'
        f'"last_seen":{_time(worker.last_seen)}}}'
        for worker in found
    )


def _lines(objects: object) -> str:
    return "[" + ",\n ".join(objects) + "]\n"  # type: ignore[arg-type]


def _text_or_null(text: str | None) -> str:
    return "null" if text is None else _text(text)


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _time(moment: datetime | None) -> str:
    if moment is None:
        return "null"
    utc = moment.astimezone(UTC)
    return f'"{utc.isoformat(timespec="milliseconds")[:-6]}Z"'
