"""The sessions of staff's browsers in the database: of each cookie its hash only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pizza.auth.storage import ActiveSession
from pizza.database.queries import Queries
from pizza.domain.errors import SessionNotFound

_SQL = Queries("restaurant/sessions")

Connection = psycopg.Connection[Any]

# Of one key, which all of a restaurant may share.
MOST_OF_A_KEY = 100
_BATCH = 500


@dataclass(frozen=True, slots=True)
class StaffSession:
    """A session as it is listed. key_name: None for a key of the environment."""

    id: str
    key_id: str
    key_name: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    client: str
    user_agent: str


def begin(
    conn: Connection, id: str, key_id: str, *, idle: timedelta, client: str, agent: str
) -> None:
    """Store a session that ends after `idle` unless it is used. client, agent: who asked for it."""
    conn.execute(
        _SQL.begin,
        {"id": id, "key": key_id, "idle": idle, "client": client, "agent": agent,
         "most": MOST_OF_A_KEY - 1},
    )  # fmt: skip


def find(conn: Connection, id: str) -> ActiveSession | None:
    """The session with this id, if it has not ended."""
    row = conn.execute(_SQL.find, {"id": id}).fetchone()
    return ActiveSession(*row) if row else None


def end(conn: Connection, id: str) -> str | None:
    """End a session; returns the id of its key, None when there is no such session."""
    row = conn.execute(_SQL.end, {"id": id}).fetchone()
    return row[1] if row else None


def end_of_key(conn: Connection, key_id: str) -> int:
    """End all sessions of a key; returns how many."""
    return conn.execute(_SQL.end_of_key, {"key": key_id}).rowcount


def end_all(conn: Connection) -> list[tuple[str, str]]:
    """End all sessions; returns the id of each and that of its key."""
    return [(str(id), str(key)) for id, key in conn.execute(_SQL.end_all).fetchall()]


def sessions(conn: Connection) -> list[StaffSession]:
    """The sessions that have not ended, oldest first."""
    return [StaffSession(*row) for row in conn.execute(_SQL.list).fetchall()]


def whole_id(conn: Connection, start: str) -> str:
    """The id that begins so. Raises SessionNotFound for none, and for several."""
    rows = conn.execute(_SQL.begins_with, {"start": start}).fetchall()
    if len(rows) != 1:
        raise SessionNotFound(start)
    return str(rows[0][0])


def used(conn: Connection, ids: list[str], *, idle: timedelta, longest: timedelta) -> None:
    """Let used sessions go on for `idle`, at most until they are `longest` old."""
    conn.execute(_SQL.used, {"ids": ids, "idle": idle, "longest": longest})


def forget(conn: Connection) -> None:
    """Drop some of the sessions that have ended."""
    conn.execute(_SQL.forget, {"limit": _BATCH})
