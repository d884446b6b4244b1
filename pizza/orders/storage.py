"""Orders in the database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.arrays import text_array
from pizza.database.connection import fetch_first
from pizza.database.planning import index_plans
from pizza.database.queries import Queries
from pizza.domain.errors import OrderNotFound
from pizza.domain.names import fold
from pizza.domain.order import (
    ClientQuota,
    IdempotencyKey,
    Order,
    OrderDraft,
    OrderItem,
    OrderStatus,
    OrderSummary,
    PlacedOrder,
    StatusChange,
    UpdatedOrder,
)
from pizza.domain.priority import AssignedPriority
from pizza.domain.status import ACTIVE
from pizza.taskqueue import trace

_SQL = Queries("restaurant/orders")
_PLACE, _STATUS, _HISTORY, _SET_CAPACITY, _MOVE, _PRIORITISE, _AGE = (
    _SQL.place, _SQL.status, _SQL.history, _SQL.set_capacity, _SQL.move, _SQL.prioritise, _SQL.age,
)  # fmt: skip

_WHOLE, _ITEMS, _PLACE_IN_TIME, _NEWEST, _PLACE_ONCE, _PLACE_FOR, _FORGET_KEYS = (
    _SQL.whole, _SQL.items, _SQL.place_in_time, _SQL.newest, _SQL.place_once, _SQL.place_for,
    _SQL.forget_keys,
)  # fmt: skip

_OPEN_CAPACITY, _JOIN_ORDER_SERVICES, _LEAVE_ORDER_SERVICES = (
    _SQL.open_capacity, _SQL.join_order_services, _SQL.leave_order_services,
)  # fmt: skip

_NEWEST_IN_KITCHEN = _SQL.newest_in_kitchen

_quoted = json.JSONEncoder(ensure_ascii=False).encode

Connection = psycopg.Connection[Any]

_KEYS_AT_A_TIME = 2000


def place(
    conn: Connection,
    draft: OrderDraft,
    *,
    first: AssignedPriority,
    repeat: AssignedPriority,
    vip: AssignedPriority,
    needs: list[str] | None,
    source: UUID | None,
    cooking: timedelta,
    queue: str,
    exchange: str,
    changed_by: str,
    deadline: datetime | None,
    key: IdempotencyKey | None = None,
    client: ClientQuota | None = None,
    menu_prices: bool = False,
) -> tuple[str, PlacedOrder | str | None]:
    """Store an order with all that follows from it, in one round trip.

    first, repeat, vip: its priority, should the customer be new, have ordered before, be a VIP.
    needs: the tags that a cook must have; source: the message from outside that it comes from.
    key: places it only once; without one nothing is asked of the keys.
    client: places it only while that client holds less than its share of the kitchen.
    menu_prices: places it only if each item is on the menu, at the menu's price.
    Returns the verdict and, when `placed` or `replayed`, the order; with `full`, `client full` and
    `network full` the limit, with `paused`, `sold out` and `twice` the reason, the dishes, or the
    number that it has already, with `other prices` what menu_price_errors found; with all others
    None.
    """
    row = fetch_first(
        conn,
        _PLACE_FOR if client else _PLACE if key is None else _PLACE_ONCE,
        {
            **_bounds(key, client),
            "expires": deadline,
            "customer_name": draft.customer_name,
            "customer_key": fold(draft.customer_name),
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
            "vip_priority": vip.priority,
            "vip_rule": vip.rule,
            "names": text_array(fold(item.name) for item in draft.items),
            "needs": None if needs is None else text_array(needs),
            "source": source,
            "cooking": cooking,
            "queue": queue,
            "exchange": exchange,
            "by": changed_by,
            "trace": trace.current(),
            "menu_prices": menu_prices,
        },
    )
    assert row is not None
    verdict, number, priority, rule, created_at, estimated_completion, order_id, total = row
    if verdict not in ("placed", "replayed"):
        return verdict, number if verdict == "twice" else rule
    return verdict, PlacedOrder(
        number=number,
        id=order_id,
        status="received",
        total_amount=total,
        priority=priority,
        priority_rule=rule,
        order_type=draft.order_type,
        customer_name=draft.customer_name,
        created_at=created_at,
        estimated_completion=estimated_completion,
        replayed=verdict == "replayed",
    )


def _bounds(key: IdempotencyKey | None, client: ClientQuota | None) -> dict[str, object]:
    """The parameters of idempotency and of the client's quota."""
    found: dict[str, object] = {} if key is None else {"key": key.key, "digest": key.digest}
    if client is None:
        return found
    return {
        "key": None,
        "digest": None,
        **found,
        "client": client.client_hash,
        "places": client.limit,
        "network": client.network_hash,
    }


def prune_keys(conn: Connection) -> None:
    """Delete a batch of keys that are older than a day. A periodic task."""
    with index_plans(conn):
        conn.execute(_FORGET_KEYS, {"limit": _KEYS_AT_A_TIME})


def _items(items: tuple[OrderItem, ...]) -> str:
    """The items as JSON; prices keep their two places, which no float would.

    An item without a price has null, which the function refuses if the menu's prices are asked for.
    """
    lines = (
        f'{{"name": {_quoted(item.name)}, "quantity": {item.quantity}, '
        f'"price": {"null" if item.price is None else item.price}}}'
        for item in items
    )
    return f"[{', '.join(lines)}]"


def status(conn: Connection, number: str) -> OrderStatus:
    """The current status of an order. Raises OrderNotFound."""
    row = conn.execute(_STATUS, {"number": number}).fetchone()
    if row is None:
        raise OrderNotFound(number)
    return OrderStatus(*row)


def get_order(conn: Connection, number: str) -> Order:
    """An order with all its fields. Raises OrderNotFound."""
    row = conn.execute(_WHOLE, {"number": number}).fetchone()
    if row is None:
        raise OrderNotFound(number)
    items = tuple(OrderItem(*item) for item in conn.execute(_ITEMS, {"number": number}))
    return Order(*(*row, items))


def list_orders(
    conn: Connection,
    *,
    status: str | None = None,
    order_type: str | None = None,
    limit: int,
    before: str | None = None,
) -> list[OrderSummary]:
    """A page of orders, newest first; only those older than the order `before`.

    Raises OrderNotFound if there is no order `before`.
    """
    place: Any = (None, None)
    if before is not None:
        place = conn.execute(_PLACE_IN_TIME, {"number": before}).fetchone()
        if place is None:
            raise OrderNotFound(before)
    parameters = {
        "status": status, "type": order_type, "limit": limit,
        "before_time": place[0], "before_id": place[1],
    }  # fmt: skip
    query = _NEWEST_IN_KITCHEN if status in ACTIVE else _NEWEST
    return [OrderSummary(*row) for row in conn.execute(query, parameters).fetchall()]


def history(conn: Connection, number: str) -> list[StatusChange]:
    """An order's changes of status, oldest first. Raises OrderNotFound."""
    rows = conn.execute(_HISTORY, {"number": number}).fetchall()
    if not rows:
        raise OrderNotFound(number)
    return [StatusChange(*row) for row in rows if row[0] is not None]


def set_capacity(conn: Connection, limit: int, by: str | None = None) -> None:
    """Set the maximum of received and cooking orders; 0 for no limit.

    by: who sets it by a command; None for an order service at its start.
    """
    conn.execute(_SET_CAPACITY, {"limit": limit, "by": by})


@dataclass(frozen=True, slots=True)
class CapacityDecision:
    """What the restaurant's limit is now that an order service has started, and what it was.

    set_by: who set it by a command, or None; alone: whether no other order service runs.
    """

    max_concurrent: int
    before: int
    set_by: str | None
    alone: bool


def open_capacity(conn: Connection, limit: int) -> CapacityDecision:
    """Set the limit as an order service that starts wants it, where that service may decide.

    The session of `conn` counts as this order service until it ends.
    """
    row = conn.execute(_OPEN_CAPACITY, {"limit": limit}).fetchone()
    assert row is not None
    return CapacityDecision(*row)


def join_order_services(conn: Connection) -> None:
    """Let the session of `conn` count as an order service that runs; it decides nothing."""
    conn.execute(_JOIN_ORDER_SERVICES)


def leave_order_services(conn: Connection) -> None:
    """Let the session of `conn` no longer count as an order service."""
    conn.execute(_LEAVE_ORDER_SERVICES)


def transition_order(
    conn: Connection,
    number: str,
    version: int,
    to: str,
    *,
    by: str,
    notes: str | None,
    queue: str,
    exchange: str,
) -> UpdatedOrder | None:
    """Set the status of an order; None if it no longer has this version.

    queue, exchange: of its message if it is cooked again.
    """
    parameters = {
        "number": number, "version": version, "to": to, "by": by, "notes": notes,
        "queue": queue, "exchange": exchange,
    }  # fmt: skip
    return _moved(number, conn.execute(_MOVE, parameters).fetchone())


def set_priority(
    conn: Connection, number: str, version: int, priority: int, *, by: str, notes: str
) -> UpdatedOrder | None:
    """Set the priority of an order; None if it no longer has this version."""
    parameters = {
        "number": number, "version": version, "priority": priority, "by": by, "notes": notes,
    }  # fmt: skip
    return _moved(number, conn.execute(_PRIORITISE, parameters).fetchone())


def _moved(number: str, row: Any) -> UpdatedOrder | None:
    assert row is not None
    verdict, status, version, updated_at = row
    return UpdatedOrder(number, status, version, updated_at) if verdict == "updated" else None


def promote_aged(
    conn: Connection, patience: timedelta, *, priority: int, by: str, rule: str
) -> int:
    """Set the priority of orders that have waited longer than `patience`; returns how many."""
    row = conn.execute(
        _AGE, {"max_wait": patience, "priority": priority, "by": by, "rule": rule}
    ).fetchone()
    assert row is not None
    return int(row[0])
