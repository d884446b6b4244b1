"""The orders that are being worked on, for the kitchen page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all

_SQL = Queries("restaurant/active_orders")

# The number of orders listed; and how many of the newest orders are searched for ready ones.
MAX_LISTED = 500
_NEWEST = 2000


@dataclass(frozen=True, slots=True)
class ActiveOrder:
    """An order of the kitchen page. items: dicts of name and quantity."""

    order_number: str
    status: str
    stage: str | None
    customer_name: str
    customer_type: str
    order_type: str
    table_number: int | None
    priority: int
    rush: bool
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    promised_at: datetime | None
    estimated_completion: datetime | None
    completed_at: datetime | None
    processed_by: str | None
    version: int
    items: list[dict[str, Any]]


def list_active_orders(conn: Connection) -> list[ActiveOrder]:
    """The active orders, most urgent first; cancelled ones are listed for two minutes."""
    limits = {"limit": MAX_LISTED, "newest": _NEWEST}
    return fetch_all(conn, ActiveOrder, _SQL.active_orders, limits)
