"""Workers in the database: who is on shift."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from pizza.database.queries import Queries

_SQL = Queries("workers")
_ENTER, _BEAT, _LEAVE, _STATUS, _DEAD = (
    _SQL.enter, _SQL.beat, _SQL.leave, _SQL.status, _SQL.mark_the_dead,
)  # fmt: skip

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker; status is `online` while its session stands, last_seen is UTC."""

    name: str
    type: str
    status: str
    orders_processed: int
    last_seen: datetime


def enter(conn: Connection, name: str, kind: str, limit: int) -> str:
    """Register a worker on the session of `conn`: `welcome`, `taken` or `full`."""
    row = conn.execute(_ENTER, {"name": name, "type": kind, "limit": limit}).fetchone()
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
