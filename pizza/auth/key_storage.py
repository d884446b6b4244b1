"""Staff keys in the database; of each key only the hash is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all, fetch_one
from pizza.domain.errors import StaffKeyNotFound

_SQL = Queries("restaurant/keys")


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


def insert_key(
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
    """Insert a key by its hash (for the two hashes see migration 0021)."""
    values = {
        "id": key_id,
        "name": name,
        "hash": hash,
        "limited_hash": limited_hash,
        "role": role,
        "kind": kind,
        "good_for": good_for,
    }
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


def disable_webhooks(conn: Connection, key_id: str | None = None) -> list[tuple[int, str]]:
    """Disable the webhooks of a key (None: of all) that is not valid; returns ids and reasons."""
    if key_id is None:
        rows = conn.execute(_SQL.disable_webhooks_of_void_keys)
    else:
        rows = conn.execute(_SQL.disable_webhooks, {"id": key_id})
    return [(int(id), str(reason)) for id, reason in rows.fetchall()]


def set_last_used(conn: Connection, ids: list[str], every: timedelta) -> None:
    """Set the last use of keys to now, unless it is less than `every` ago."""
    conn.execute(_SQL.set_last_used, {"ids": ids, "every": every})


def _one(conn: Connection, query: str, key_id: str) -> StaffKey:
    key = fetch_one(conn, StaffKey, query, {"id": key_id})
    if key is None:
        raise StaffKeyNotFound(key_id)
    return key
