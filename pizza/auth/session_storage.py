"""Sessions of the staff's browsers in the database; of each cookie only the hash is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pizza.auth.storage import ActiveSession
from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all, fetch_one
from pizza.domain.errors import SessionNotFound

_SQL = Queries("restaurant/sessions")

# All people of a restaurant may share one key.
MAX_PER_KEY = 100
_BATCH = 500


@dataclass(frozen=True, slots=True)
class StaffSession:
    """A session in a list. key_name: None for a key of the environment."""

    id: str
    key_id: str
    key_name: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    client: str
    user_agent: str


def insert_session(
    conn: Connection, id: str, key_id: str, *, idle: timedelta, client: str, agent: str
) -> None:
    """Insert a session that ends after `idle` unless it is used. client: the browser's address."""
    values = {"id": id, "key": key_id, "idle": idle, "client": client, "agent": agent}
    conn.execute(_SQL.insert_session, values | {"most": MAX_PER_KEY - 1})


def find_session(conn: Connection, id: str) -> ActiveSession | None:
    """The session with this id, if it has not ended."""
    return fetch_one(conn, ActiveSession, _SQL.find_session, {"id": id})


def end_session(conn: Connection, id: str) -> str | None:
    """End a session; returns the id of its key, None when there is no such session."""
    row = conn.execute(_SQL.end_session, {"id": id}).fetchone()
    return row[1] if row else None


def end_sessions_of_key(conn: Connection, key_id: str) -> int:
    """End all sessions of a key; returns how many."""
    return conn.execute(_SQL.end_sessions_of_key, {"key": key_id}).rowcount


def end_all_sessions(conn: Connection) -> list[tuple[str, str]]:
    """End all sessions; returns the id of each and that of its key."""
    return [(str(id), str(key)) for id, key in conn.execute(_SQL.end_all_sessions).fetchall()]


def list_sessions(conn: Connection) -> list[StaffSession]:
    """The open sessions, oldest first."""
    return fetch_all(conn, StaffSession, _SQL.list_sessions)


def find_id(conn: Connection, prefix: str) -> str:
    """The id with this prefix. Raises SessionNotFound for none, and for several."""
    rows = conn.execute(_SQL.ids_with_prefix, {"start": prefix}).fetchall()
    if len(rows) != 1:
        raise SessionNotFound(prefix)
    return str(rows[0][0])


def extend_sessions(
    conn: Connection, ids: list[str], *, idle: timedelta, max_age: timedelta
) -> None:
    """Extend sessions by `idle` from now, at most until they are `max_age` old."""
    conn.execute(_SQL.extend_sessions, {"ids": ids, "idle": idle, "longest": max_age})


def prune_sessions(conn: Connection) -> None:
    """Delete a batch of sessions that have ended. A periodic task."""
    conn.execute(_SQL.prune_sessions, {"limit": _BATCH})
