"""The audit log in the database: rows are added and read, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all

_SQL = Queries("restaurant/audit")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row of the log. before, after: what the change was about, as JSON; None where that is
    nothing.
    """

    id: int
    at: datetime
    actor: str
    key_id: str | None
    role: str | None
    action: str
    object_kind: str
    object_id: str
    source: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def insert_entry(conn: Connection, **values: object) -> None:
    """Add a row, in the caller's transaction. values: the parameters of the query."""
    conn.execute(_SQL.insert_entry, values)


def list_entries(conn: Connection, **filters: object) -> list[AuditEntry]:
    """The newest rows that match all filters, newest first.

    filters: the parameters of the query: actor, action, kind, object, since (None: any), before (an
    id), limit.
    """
    return fetch_all(conn, AuditEntry, _SQL.list_entries, filters)


def hash_customer(conn: Connection, key: str) -> str:
    """The id of a customer in the log: a keyed hash of the folded name."""
    row = conn.execute(_SQL.hash_customer, {"key": key}).fetchone()
    assert row is not None
    return str(row[0])


def prune_entries(conn: Connection, keep: timedelta, limit: int) -> int:
    """Delete up to `limit` rows older than `keep` (at least 30 days); returns how many."""
    row = conn.execute(_SQL.prune_entries, {"keep": keep, "limit": limit}).fetchone()
    assert row is not None
    return int(row[0])
