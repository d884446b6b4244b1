"""JSON with exact amounts, and times in UTC with a `Z`.

The documents that are requested most are formatted directly, which is several times faster. The
documents of staff are in pizza.web.schemas.documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from pizza.domain.actor import KITCHEN, role_of
from pizza.domain.order import OrderStatus, PlacedOrder, StatusChange

_text = json.encoder.encode_basestring_ascii

TRACK = "/track/"


def placed(order: PlacedOrder, token: str, root: str = "") -> str:
    """The response to POST /orders; the amount has two decimal places.

    token: its tracking token; root: the path prefix of a proxy. Neither needs escapes.
    """
    return (
        f'{{"order_number":{_text(order.number)},"status":{_text(order.status)},'
        f'"total_amount":{_money(order.total_amount)},"priority":{order.priority},'
        f'"order_type":{_text(order.order_type)},"customer_name":{_text(order.customer_name)},'
        f'"created_at":{_time(order.created_at)},'
        f'"estimated_completion":{_time(order.estimated_completion)},'
        f'"tracking_token":"{token}","tracking_url":"{root}{TRACK}{token}"}}\n'
    )


def status(order: OrderStatus, *, include_private: bool = True) -> str:
    """The response to GET /orders/{number}/status.

    include_private: with amount, priority and the cook's name; without it the cook is a role.
    """
    cook = order.processed_by if include_private or order.processed_by is None else KITCHEN
    more = (
        f',"priority":{order.priority},"rush":{json.dumps(order.rush)},'
        f'"total_amount":{_money(order.total_amount)}'
    )
    return (
        f'{{"order_number":{_text(order.number)},"current_status":{_text(order.status)},'
        f'"updated_at":{_time(order.updated_at)},'
        f'"estimated_completion":{_time(order.estimated_completion)},'
        f'"processed_by":{_text_or_null(cook)},'
        f'"order_type":{_text(order.order_type)},'
        f'"completed_at":{_time(order.completed_at)},'
        f'"stage":{_text_or_null(order.stage)}{more if include_private else ""}}}\n'
    )


def history(changes: list[StatusChange], *, include_private: bool = True) -> str:
    """The response to GET /orders/{number}/history.

    include_private: with names and notes; without it each name is a role.
    """
    return _lines(
        f'{{"status":{_text(change.status)},"timestamp":{_time(change.timestamp)},'
        f'"changed_by":{_text(_actor(change, include_private=include_private))},'
        f'"notes":{_text_or_null(change.notes if include_private else None)}}}'
        for change in changes
    )


def _actor(change: StatusChange, *, include_private: bool) -> str:
    return change.changed_by if include_private else role_of(change.changed_by, change.status)


def dump(document: object) -> str:
    """Serialise dicts, lists and plain values on one line.

    Decimals have two decimal places, floats at most three.
    """
    return f"{_to_json(document)}\n"


def dump_lines(documents: Iterable[object]) -> str:
    """A JSON array with one document on each line."""
    return _lines(map(_to_json, documents))


def _to_json(value: object) -> str:
    match value:
        case dict():
            return f"{{{','.join(f'{_text(str(k))}:{_to_json(v)}' for k, v in value.items())}}}"
        case list() | tuple():
            return f"[{','.join(map(_to_json, value))}]"
        case Decimal():
            return _money(value)
        case datetime():
            return _time(value)
        case float():
            return json.dumps(round(value, 3))
        case UUID():
            value = str(value)
    return json.dumps(value)


def _lines(objects: Iterable[str]) -> str:
    return "[" + ",\n ".join(objects) + "]\n"


def _text_or_null(text: str | None) -> str:
    return "null" if text is None else _text(text)


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _time(moment: datetime | None) -> str:
    if moment is None:
        return "null"
    utc = moment.astimezone(UTC)
    return f'"{utc.isoformat(timespec="milliseconds")[:-6]}Z"'
