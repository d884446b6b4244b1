"""Workers in the database: who is on shift."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from pizza.database.queries import Queries

_SQL = Queries("restaurant/workers")
_ENTER, _BEAT, _LEAVE, _STATUS, _DEAD = (
    _SQL.enter, _SQL.beat, _SQL.leave, _SQL.status, _SQL.mark_the_dead,
)  # fmt: skip

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker; status is `online` while its session stands, times are UTC.

    order_types, tags: what it takes (None: everything). The figures below are of its part in the
    newest 5,000 orders (the view worker_performance); None where there is nothing to measure.
    """

    name: str
    type: str
    status: str
    orders_processed: int
    last_seen: datetime
    station: str = "kitchen"
    order_types: list[str] | None = None
    tags: list[str] | None = None
    measured_orders: int | None = None
    avg_cooking_seconds: float | None = None
    p90_cooking_seconds: float | None = None
    avg_waiting_seconds: float | None = None
    p90_waiting_seconds: float | None = None
    last_order_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker does: its type, its station, and which orders it takes (None: all).

    cooking_time: seconds that a takeout takes this cook; None for who does not cook.
    """

    type: str
    station: str
    order_types: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    cooking_time: float | None = None


def enter(conn: Connection, name: str, post: Post, limit: int) -> str:
    """Register a worker on the session of `conn`: `welcome`, `taken` or `full`."""
    row = conn.execute(
        _ENTER,
        {
            "name": name,
            "type": post.type,
            "limit": limit,
            "station": post.station,
            "order_types": list(post.order_types) if post.order_types else None,
            "tags": list(post.tags) if post.tags else None,
            "cooking_time": post.cooking_time,
        },
    ).fetchone()
    assert row is not None
    verdict: str = row[0]
    return verdict


def beat(conn: Connection, name: str) -> None:
    """Note that a worker is alive."""
    conn.execute(_BEAT, {"name": name})


def leave(conn: Connection, name: str) -> None:
    """Note that a worker has gone home."""
    conn.execute(_LEAVE, {"name": name})


def mark_the_dead(conn: Connection) -> list[str]:
    """Set workers whose session is gone offline, and name them."""
    return [row[0] for row in conn.execute(_DEAD).fetchall()]


def status(conn: Connection) -> list[WorkerStatus]:
    """All workers that were ever on shift, by name."""
    return [WorkerStatus(*row) for row in conn.execute(_STATUS).fetchall()]
