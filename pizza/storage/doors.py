"""The staff's keys and the house's secret in the database; of the keys their hashes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.planning import index_plans
from pizza.database.queries import Queries
from pizza.domain.errors import NoSuchKey

_SQL = Queries("doors")
_LOOK, _ADD, _LIST, _REVOKE, _FORGET_CLIENTS = (
    _SQL.look, _SQL.add, _SQL.list, _SQL.revoke, _SQL.forget_clients,
)  # fmt: skip

Connection = psycopg.Connection[Any]

# Rows that one turn looks at.
SLICE = 2000


@dataclass(frozen=True, slots=True)
class StaffKey:
    """A staff key as it is listed; the key itself is nowhere."""

    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Locks:
    """secret: the house's; fitted: there is or was a key; hashes: of the keys that count."""

    secret: bytes
    fitted: bool
    hashes: Sequence[bytes]


def look(conn: Connection) -> Locks:
    """All that is needed to know who may do what, in one round trip."""
    row = conn.execute(_LOOK).fetchone()
    assert row is not None
    secret, fitted, hashes = row
    return Locks(bytes(secret), fitted, tuple(map(bytes, hashes)))


def add(conn: Connection, key_id: str, name: str, digest: bytes) -> StaffKey:
    """Keep a key by its hash."""
    row = conn.execute(_ADD, {"id": key_id, "name": name, "hash": digest}).fetchone()
    assert row is not None
    return StaffKey(*row)


def keys(conn: Connection) -> list[StaffKey]:
    """All keys, oldest first, the revoked ones too."""
    return [StaffKey(*row) for row in conn.execute(_LIST).fetchall()]


def revoke(conn: Connection, key_id: str) -> StaffKey:
    """Let a key count no more; twice is as good as once. Raises NoSuchKey."""
    row = conn.execute(_REVOKE, {"id": key_id}).fetchone()
    if row is None:
        raise NoSuchKey(key_id)
    return StaffKey(*row)


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
