"""The staff's keys in the database: of each its hash only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pizza.database.queries import Queries
from pizza.domain.errors import StaffKeyNotFound

_SQL = Queries("restaurant/keys")

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class StaffKey:
    """A staff key as it is listed; the key itself is stored nowhere."""

    id: str
    name: str
    role: str
    kind: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


def add(
    conn: Connection,
    key_id: str,
    name: str,
    *,
    hash: bytes,
    limited_hash: bytes | None,
    role: str,
    kind: str,
    good_for: timedelta | None,
) -> StaffKey:
    """Keep a key by its hash (see migration 0021 for the two of them)."""
    values = {
        "id": key_id, "name": name, "hash": hash, "limited_hash": limited_hash, "role": role,
        "kind": kind, "good_for": good_for,
    }  # fmt: skip
    row = conn.execute(_SQL.add, values).fetchone()
    assert row is not None
    return StaffKey(*row)


def keys(conn: Connection) -> list[StaffKey]:
    """All keys, oldest first, the revoked and the expired ones too."""
    return [StaffKey(*row) for row in conn.execute(_SQL.list).fetchall()]


def lock(conn: Connection, key_id: str) -> StaffKey:
    """One key, locked until the transaction ends. Raises StaffKeyNotFound."""
    return _one(conn, _SQL.lock, key_id)


def revoke(conn: Connection, key_id: str) -> StaffKey:
    """Let a key count no more; twice is as good as once. Raises StaffKeyNotFound."""
    return _one(conn, _SQL.revoke, key_id)


def disable_webhooks(conn: Connection, key_id: str | None = None) -> list[tuple[int, str]]:
    """Disable the webhooks of a key (None: of all) that counts no longer; their ids and why."""
    if key_id is None:
        rows = conn.execute(_SQL.disable_webhooks_of_void_keys)
    else:
        rows = conn.execute(_SQL.disable_webhooks, {"id": key_id})
    return [(int(id), str(reason)) for id, reason in rows.fetchall()]


def used(conn: Connection, ids: list[str], every: timedelta) -> None:
    """Note that these keys are used; one that was noted less than `every` ago stays as it is."""
    conn.execute(_SQL.used, {"ids": ids, "every": every})


def _one(conn: Connection, query: str, key_id: str) -> StaffKey:
    row = conn.execute(query, {"id": key_id}).fetchone()
    if row is None:
        raise StaffKeyNotFound(key_id)
    return StaffKey(*row)
