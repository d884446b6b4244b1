"""The kitchen's board in the database: all that is being worked on, in one look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from pizza.database.queries import Queries

_LIVE = Queries("restaurant/active_orders").live

Connection = psycopg.Connection[Any]

# More than hang on any board; and how far back an order may lie that waits to be handed over.
MOST = 500
_NEWEST = 2000


@dataclass(frozen=True, slots=True)
class BoardOrder:
    """An order as the board shows it; items are dicts of name and quantity."""

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


def live(conn: Connection) -> list[BoardOrder]:
    """The orders of the board, most urgent first; a cancelled one stays for two minutes."""
    rows = conn.execute(_LIVE, {"limit": MOST, "newest": _NEWEST}).fetchall()
    return [BoardOrder(*row) for row in rows]
