"""Waiting orders, online cooks and measured cooking times in the database, for estimates.

All functions run in the caller's transaction. Writes skip locked rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all
from pizza.domain.estimate import Cook
from pizza.topology import KITCHEN_QUEUE, TYPED_QUEUES

_SQL = Queries("restaurant/estimates")
_QUEUES = [KITCHEN_QUEUE, *TYPED_QUEUES.values()]


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """A waiting order with its current estimate (UTC). required_tags: None if they are unknown."""

    number: str
    order_type: str
    required_tags: list[str] | None
    estimated_completion: datetime | None


def count_waiting(conn: Connection) -> None:
    """Store the number of waiting orders."""
    conn.execute(_SQL.count_waiting, {"queues": _QUEUES})


def list_waiting(conn: Connection, limit: int) -> list[WaitingOrder]:
    """The first waiting orders, in the order in which workers claim them."""
    return fetch_all(conn, WaitingOrder, _SQL.list_waiting, {"queues": _QUEUES, "limit": limit})


def list_online_cooks(conn: Connection) -> list[Cook]:
    """The online cooks, with the seconds until each of them can take an order."""
    busy: dict[str, float] = defaultdict(float)
    for name, left in conn.execute(_SQL.list_cooking, {"queues": _QUEUES}).fetchall():
        busy[name] = max(0.0, left or 0.0)
    return [
        Cook(
            frozenset(order_types) if order_types else None,
            frozenset(tags) if tags else None,
            busy[name],
        )
        for name, order_types, tags in conn.execute(_SQL.list_online_cooks).fetchall()
    ]


def set_estimates(conn: Connection, estimates: Mapping[str, datetime]) -> int:
    """Set the estimates of waiting orders, by number; returns how many were set."""
    values = {"numbers": list(estimates), "moments": list(estimates.values())}
    return conn.execute(_SQL.set_estimates, values).rowcount


def measure_cooking_times(conn: Connection, newest: int) -> None:
    """Store the mean cooking time of each order type, among the `newest` orders."""
    conn.execute(_SQL.measure_cooking_times, {"newest": newest})


def list_cooking_times(conn: Connection) -> dict[str, float]:
    """The measured cooking times in seconds, by order type."""
    return {kind: float(time) for kind, time in conn.execute(_SQL.list_cooking_times).fetchall()}
