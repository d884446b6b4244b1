"""Orders in the database."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

from psycopg.rows import dict_row

from pizza.database.connection import Connection, fetch_first
from pizza.database.planning import index_plans
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all, fetch_one
from pizza.domain.errors import OrderNotFound
from pizza.domain.names import fold_name
from pizza.domain.order import (
    ClientQuota,
    IdempotencyKey,
    Order,
    OrderDraft,
    OrderItem,
    OrderStatus,
    OrderSummary,
    StatusChange,
    UpdatedOrder,
)
from pizza.domain.status import ACTIVE

_SQL = Queries("restaurant/orders")
_PLACE_ORDER = _SQL.place_order

_KEYS_AT_A_TIME = 2000

# Prices and times become text, which is exact.
_ENCODER = json.JSONEncoder(default=str)

_DRAFT_FIELDS = tuple(field.name for field in fields(OrderDraft))
_ITEM_FIELDS = tuple(field.name for field in fields(OrderItem))


def insert_order(
    conn: Connection,
    draft: OrderDraft,
    *,
    key: IdempotencyKey | None = None,
    client: ClientQuota | None = None,
    **terms: Any,
) -> dict[str, Any]:
    """Store an order with all that follows from it, in one round trip.

    key: places it once. client: whose open orders are limited. terms: the other members of the
    document of the SQL function order_place. Returns the row of that function, which describes the
    verdicts.
    """
    document = {
        **{name: getattr(draft, name) for name in _DRAFT_FIELDS},
        "customer_key": fold_name(draft.customer_name),
        "total_amount": draft.total,
        "items": [
            {name: getattr(item, name) for name in _ITEM_FIELDS} | {"key": item.key}
            for item in draft.items
        ],
        "idempotency": key and {"key": key.key, "digest": key.digest.hex()},
        "client": client
        and {
            "address": client.client_hash.hex(),
            "network": client.network_hash and client.network_hash.hex(),
            "limit": client.limit,
        },
        **terms,
    }
    order = _ENCODER.encode(document)
    row: dict[str, Any] = fetch_first(conn, _PLACE_ORDER, {"order": order}, dict_row)
    return row


def prune_idempotency_keys(conn: Connection) -> None:
    """Delete a batch of keys that are older than a day. A periodic task."""
    with index_plans(conn):
        conn.execute(_SQL.prune_idempotency_keys, {"limit": _KEYS_AT_A_TIME})


def get_status(conn: Connection, number: str) -> OrderStatus:
    """The current status of an order. Raises OrderNotFound."""
    found = fetch_one(conn, OrderStatus, _SQL.get_status, {"number": number})
    if found is None:
        raise OrderNotFound(number)
    return found


def get_order(conn: Connection, number: str) -> Order:
    """An order with all its fields. Raises OrderNotFound."""
    found = fetch_one(conn, Order, _SQL.get_order, {"number": number})
    if found is None:
        raise OrderNotFound(number)
    return replace(
        found, items=tuple(fetch_all(conn, OrderItem, _SQL.list_items, {"number": number}))
    )


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
    position: Any = (None, None)
    if before is not None:
        position = conn.execute(_SQL.get_position, {"number": before}).fetchone()
        if position is None:
            raise OrderNotFound(before)
    query = _SQL.list_newest_in_kitchen if status in ACTIVE else _SQL.list_newest
    values = {"status": status, "type": order_type, "limit": limit}
    values |= {"before_time": position[0], "before_id": position[1]}
    return fetch_all(conn, OrderSummary, query, values)


def list_status_changes(conn: Connection, number: str) -> list[StatusChange]:
    """An order's changes of status, oldest first. Raises OrderNotFound."""
    steps = fetch_all(conn, StatusChange, _SQL.list_status_changes, {"number": number})
    if not steps:
        raise OrderNotFound(number)
    return [step for step in steps if step.status is not None]


def set_capacity(conn: Connection, limit: int, by: str | None = None) -> None:
    """Set the maximum of received and cooking orders; 0 for no limit.

    by: who sets it by a command; None for an order service at its start.
    """
    conn.execute(_SQL.set_capacity, {"limit": limit, "by": by})


@dataclass(frozen=True, slots=True)
class CapacityDecision:
    """What the restaurant's limit is now that an order service has started, and what it was.

    set_by: who set it by a command, or None; alone: whether no other order service runs.
    """

    max_concurrent: int
    before: int
    set_by: str | None
    alone: bool


def initialize_capacity(conn: Connection, limit: int) -> CapacityDecision:
    """Set the limit as an order service that starts wants it, where that service may decide.

    The session of `conn` counts as this order service until it ends.
    """
    return fetch_all(conn, CapacityDecision, _SQL.initialize_capacity, {"limit": limit})[0]


def register_order_service(conn: Connection) -> None:
    """Let the session of `conn` count as an order service that runs; it decides nothing."""
    conn.execute(_SQL.register_order_service)


def unregister_order_service(conn: Connection) -> None:
    """Let the session of `conn` no longer count as an order service."""
    conn.execute(_SQL.unregister_order_service)


def transition_order(
    conn: Connection, number: str, version: int, to: str, **others: str | None
) -> UpdatedOrder | None:
    """Set the status of an order; None if it no longer has this version.

    others: by, notes; queue and exchange of its message if it is cooked again.
    """
    return _update(conn, _SQL.transition_order, number=number, version=version, to=to, **others)


def set_priority(
    conn: Connection, number: str, version: int, priority: int, *, by: str, notes: str
) -> UpdatedOrder | None:
    """Set the priority of an order; None if it no longer has this version."""
    values = {"number": number, "version": version, "priority": priority, "by": by, "notes": notes}
    return _update(conn, _SQL.set_priority, **values)


def _update(conn: Connection, query: str, **values: Any) -> UpdatedOrder | None:
    verdict, status, version, updated_at = fetch_first(conn, query, values)
    updated = UpdatedOrder(values["number"], status, version, updated_at)
    return updated if verdict == "updated" else None


def promote_aged(
    conn: Connection, max_wait: timedelta, *, priority: int, by: str, rule: str
) -> int:
    """Set the priority of orders that have waited longer than `max_wait`; returns how many."""
    values = {"max_wait": max_wait, "priority": priority, "by": by, "rule": rule}
    return int(fetch_first(conn, _SQL.promote_aged, values)[0])
