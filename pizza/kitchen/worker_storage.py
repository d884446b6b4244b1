"""Workers in the database: their profiles, sessions and figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pizza.database.connection import Connection, fetch_first
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all

_SQL = Queries("restaurant/workers")


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker. status: `online` while its database session exists. Times are in UTC.

    order_types, tags: what it takes (None: everything). The figures cover the newest 5,000 orders
    (the view worker_performance); the seconds are None without a measurement.
    """

    name: str
    type: str
    status: str
    orders_processed: int
    last_seen: datetime
    station: str = "kitchen"
    order_types: list[str] | None = None
    tags: list[str] | None = None
    measured_orders: int = 0
    avg_cooking_seconds: float | None = None
    p90_cooking_seconds: float | None = None
    avg_waiting_seconds: float | None = None
    p90_waiting_seconds: float | None = None
    last_order_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WorkerProfile:
    """What a worker registers: type, station, and the orders that it takes (None: all).

    cooking_time: of a takeout in seconds; None for workers that are no cooks.
    """

    type: str
    station: str
    order_types: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    cooking_time: float | None = None


def register_worker(conn: Connection, name: str, profile: WorkerProfile, limit: int) -> str:
    """Register a worker on the session of `conn`: `registered`, `taken` or `full`."""
    verdict: str = fetch_first(
        conn,
        _SQL.register_worker,
        {
            "name": name,
            "type": profile.type,
            "limit": limit,
            "station": profile.station,
            "order_types": list(profile.order_types) if profile.order_types else None,
            "tags": list(profile.tags) if profile.tags else None,
            "cooking_time": profile.cooking_time,
        },
    )[0]
    return verdict


def record_heartbeat(conn: Connection, name: str) -> None:
    """Set the last heartbeat of a worker to now."""
    conn.execute(_SQL.record_heartbeat, {"name": name})


def unregister_worker(conn: Connection, name: str) -> None:
    """Set a worker offline."""
    conn.execute(_SQL.unregister_worker, {"name": name})


def expire_workers(conn: Connection) -> list[str]:
    """Set workers without a database session offline; returns their names."""
    return [row[0] for row in conn.execute(_SQL.expire_workers).fetchall()]


def list_workers(conn: Connection, *, name: str | None = None) -> list[WorkerStatus]:
    """All workers that have ever registered, sorted by name; or only the one of exactly `name`."""
    found = fetch_all(conn, WorkerStatus, _SQL.list_workers)
    return found if name is None else [each for each in found if each.name == name]
