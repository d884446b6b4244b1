"""Staff keys, sessions of browsers, and what authentication reads of both.

Of each key and of each cookie only the hash is stored.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pizza.database.connection import Connection
from pizza.database.planning import index_plans
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all, fetch_one
from pizza.domain.errors import SessionNotFound, StaffKeyNotFound

_SQL = Queries("restaurant/auth")

# Rows that one run reads.
SLICE = 2000
# All people of a restaurant may share one key.
MAX_PER_KEY = 100
_BATCH = 500
# Keys of the environment have no row; all of them have this name.
ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class StaffKey:
    """A staff key in a list; the text of a key is not stored."""

    id: str
    name: str
    role: str
    kind: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class StaffSession:
    """A session in a list. key: the name of its key."""

    id: str
    key: str
    key_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    client: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class ActiveKey:
    """A valid key. left: seconds until it expires, None if it does not."""

    id: str
    name: str
    role: str
    digest: bytes
    left: float | None = None


@dataclass(frozen=True, slots=True)
class ActiveSession:
    """An open session. id: SHA-256 of its cookie in hexadecimal; left: seconds until it ends."""

    id: str
    key_id: str
    left: float


@dataclass(frozen=True, slots=True)
class AuthState:
    """signing_secret: the installation's; has_keys: there is or was a key in the table.

    keys, sessions: the valid ones, sessions by id. at: the time of the query by time.monotonic();
    the seconds `left` count from it.
    """

    signing_secret: bytes
    has_keys: bool
    keys: Sequence[ActiveKey]
    sessions: Mapping[str, ActiveSession]
    at: float


def load_auth_state(conn: Connection) -> AuthState:
    """Read the state in one round trip."""
    at = time.monotonic()
    row = conn.execute(_SQL.auth_state).fetchone()
    assert row is not None
    secret, has_keys, keys, sessions = row
    return AuthState(
        bytes(secret),
        has_keys,
        tuple(
            ActiveKey(id, name, role, bytes.fromhex(digest), left)
            for id, name, role, digest, left in keys
        ),
        {each[0]: ActiveSession(*each) for each in sessions},
        at,
    )


def find_order_id(conn: Connection, number: str) -> UUID | None:
    """The id of the order with this number; None if no order has it."""
    row = conn.execute(_SQL.order_id, {"number": number}).fetchone()
    return None if row is None else row[0]


def insert_key(conn: Connection, **values: object) -> StaffKey:
    """Insert a key by its hash (for the two hashes see migration 0021).

    values: id, name, hash, limited_hash, role, kind, good_for (a timedelta; None for no expiry).
    """
    key = fetch_one(conn, StaffKey, _SQL.insert_key, values)
    assert key is not None
    return key


def list_keys(conn: Connection) -> list[StaffKey]:
    """All keys, oldest first, including revoked and expired ones."""
    return fetch_all(conn, StaffKey, _SQL.list_keys)


def lock_key(conn: Connection, key_id: str) -> StaffKey:
    """One key, locked until the transaction ends. Raises StaffKeyNotFound."""
    return _one(conn, _SQL.lock_key, key_id)


def revoke_key(conn: Connection, key_id: str) -> StaffKey:
    """Revoke a key, if it is not revoked yet. Raises StaffKeyNotFound."""
    return _one(conn, _SQL.revoke_key, key_id)


def disable_webhooks(conn: Connection, key_id: str | None) -> list[tuple[int, str]]:
    """Disable the webhooks of a key (None: of all) that is not valid; returns ids and reasons."""
    rows = conn.execute(_SQL.disable_webhooks, {"id": key_id}).fetchall()
    return [(int(id), str(reason)) for id, reason in rows]


def set_last_used(conn: Connection, ids: list[str], every: timedelta) -> None:
    """Set the last use of keys to now, unless it is less than `every` ago."""
    conn.execute(_SQL.set_last_used, {"ids": ids, "every": every})


def _one(conn: Connection, query: str, key_id: str) -> StaffKey:
    key = fetch_one(conn, StaffKey, query, {"id": key_id})
    if key is None:
        raise StaffKeyNotFound(key_id)
    return key


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
    """The open sessions, oldest first; also those whose keys have been revoked or have expired."""
    return fetch_all(conn, StaffSession, _SQL.list_sessions, {"environment": ENVIRONMENT})


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


class ClientRetention:
    """Deletes the clients (`client_order`) of orders that have left the kitchen.

    A periodic task; each run handles one slice of the table.
    """

    def __init__(self, limit: int = SLICE) -> None:
        self._limit = limit
        self._after = ""

    def run(self, conn: Connection) -> None:
        """Handle the next slice, in the caller's transaction; after the last one the first."""
        values = {"after": self._after, "limit": self._limit}
        with index_plans(conn):
            row = conn.execute(_SQL.prune_client_orders, values).fetchone()
        assert row is not None
        self._after = row[0] or ""
