"""Orders in the database."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pizza.database.connection import first as first_row
from pizza.database.queries import Queries
from pizza.domain.errors import OrderNotFound
from pizza.domain.order import OrderDraft, OrderItem, OrderStatus, PlacedOrder, StatusChange
from pizza.domain.priority import Assignment

_SQL = Queries("orders")
_PLACE, _STATUS, _HISTORY, _SET_CAPACITY = _SQL.place, _SQL.status, _SQL.history, _SQL.set_capacity

_quoted = json.JSONEncoder(ensure_ascii=False).encode

Connection = psycopg.Connection[Any]


def place(
    conn: Connection,
    draft: OrderDraft,
    *,
    first: Assignment,
    repeat: Assignment,
    cooking: timedelta,
    queue: str,
    exchange: str,
    changed_by: str,
    deadline: datetime | None,
) -> tuple[str, PlacedOrder | None]:
    """Store an order with all that follows from it, in one round trip.

    first, repeat: its priority, should the customer be new or have ordered before.
    Returns the verdict (`placed`, `full`, `late`) and, when placed, the order.
    """
    row = first_row(
        conn,
        _PLACE,
        {
            "expires": deadline,
            "customer_name": draft.customer_name,
            "customer_key": customer_key(draft.customer_name),
            "customer_type": draft.customer_type,
            "type": draft.order_type,
            "table": draft.table_number,
            "address": draft.delivery_address,
            "rush": draft.rush,
            "total": draft.total,
            "items": _items(draft.items),
            "priority": first.priority,
            "rule": first.rule,
            "repeat_priority": repeat.priority,
            "repeat_rule": repeat.rule,
            "cooking": cooking,
            "queue": queue,
            "exchange": exchange,
            "by": changed_by,
        },
    )
    assert row is not None
    verdict, number, priority, rule, created_at, estimated_completion = row
    if verdict != "placed":
        return verdict, None
    return verdict, PlacedOrder(
        number=number,
        status="received",
        total_amount=draft.total,
        priority=priority,
        priority_rule=rule,
        order_type=draft.order_type,
        customer_name=draft.customer_name,
        created_at=created_at,
        estimated_completion=estimated_completion,
    )


def _items(items: tuple[OrderItem, ...]) -> str:
    """The items as JSON; prices keep their two places, which no float would."""
    lines = (
        f'{{"name": {_quoted(item.name)}, "quantity": {item.quantity}, "price": {item.price}}}'
        for item in items
    )
    return f"[{', '.join(lines)}]"


def customer_key(name: str) -> str:
    """A customer's name as customers are told apart: case and spacing do not matter."""
    return " ".join(name.casefold().split())


def status(conn: Connection, number: str) -> OrderStatus:
    """Where an order stands. Raises OrderNotFound."""
    row = conn.execute(_STATUS, {"number": number}).fetchone()
    if row is None:
        raise OrderNotFound(number)
    return OrderStatus(*row)


def history(conn: Connection, number: str) -> list[StatusChange]:
    """An order's changes of status, oldest first. Raises OrderNotFound."""
    rows = conn.execute(_HISTORY, {"number": number}).fetchall()
    if not rows:
        raise OrderNotFound(number)
    return [StatusChange(*row) for row in rows if row[0] is not None]


def set_capacity(conn: Connection, limit: int) -> None:
    """Set how many orders may be received or cooking at a time."""
    conn.execute(_SET_CAPACITY, {"limit": limit})
