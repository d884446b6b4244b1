"""What authentication reads: the house's secret, and the keys and sessions that count."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.planning import index_plans
from pizza.database.queries import Queries

_SQL = Queries("restaurant/auth")
_LOOK, _FORGET_CLIENTS = _SQL.look, _SQL.forget_clients

Connection = psycopg.Connection[Any]

# Rows that one turn looks at.
SLICE = 2000


@dataclass(frozen=True, slots=True)
class ActiveKey:
    """A key that counts. left: seconds until it expires, None for never."""

    id: str
    name: str
    role: str
    digest: bytes
    left: float | None = None


@dataclass(frozen=True, slots=True)
class ActiveSession:
    """A session that has not ended. id: SHA-256 of its cookie, in hexadecimal; left: seconds."""

    id: str
    key_id: str
    left: float


@dataclass(frozen=True, slots=True)
class Locks:
    """secret: the house's; fitted: there is or was a key; keys, sessions (by id): those that count.

    at: when it was asked for, by time.monotonic(); seconds of keys and sessions count from then.
    """

    secret: bytes
    fitted: bool
    keys: Sequence[ActiveKey]
    sessions: Mapping[str, ActiveSession]
    at: float


def look(conn: Connection) -> Locks:
    """All that is needed to know who may do what, in one round trip."""
    at = time.monotonic()
    row = conn.execute(_LOOK).fetchone()
    assert row is not None
    secret, fitted, keys, sessions = row
    return Locks(
        bytes(secret),
        fitted,
        tuple(ActiveKey(id, name, role, bytes.fromhex(digest), left)
              for id, name, role, digest, left in keys),
        {each[0]: ActiveSession(*each) for each in sessions},
        at,
    )  # fmt: skip


def order_id(conn: Connection, number: str) -> UUID | None:
    """The id of the order with this number; None if there is none."""
    row = conn.execute(_SQL.order_id, {"number": number}).fetchone()
    return None if row is None else row[0]


class ClientRetention:
    """Drops the clients of orders that have left the kitchen, a slice of the table at a time."""

    def __init__(self, limit: int = SLICE) -> None:
        self._limit = limit
        self._after = ""

    def run(self, conn: Connection) -> None:
        """Look at the next slice, in the caller's transaction; after the last one at the first."""
        values = {"after": self._after, "limit": self._limit}
        with index_plans(conn):
            row = conn.execute(_FORGET_CLIENTS, values).fetchone()
        assert row is not None
        self._after = row[0] or ""
