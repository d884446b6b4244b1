"""The log of changes of all orders, in the order of their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pizza.database.connection import Connection, fetch_first
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all

_SQL = Queries("restaurant/changes")

# The query `gaps` reads this many positions.
DEPTH = 100_000


@dataclass(frozen=True, slots=True)
class Change:
    """A row of an order's log, with the order's fields at the time of the query.

    position: in the log of all orders, 0 for rows that are older than positions; sequence: in the
    log of its order, from 1, None for an estimate, which has no row; previous_position: of the
    order's previous change, 0 if unknown. Times are in UTC.
    """

    position: int
    number: str
    old_status: str | None
    status: str
    changed_by: str
    changed_at: datetime
    estimated_completion: datetime | None
    event_id: UUID
    sequence: int | None
    order_type: str
    priority: int
    stage: str | None
    customer_name: str
    notes: str | None
    previous_position: int = 0


def changes_after(conn: Connection, after: int, limit: int) -> list[Change]:
    """The first `limit` visible changes after a position."""
    return fetch_all(conn, Change, _SQL.changes_after, {"after": after, "limit": limit})


def changes_within(conn: Connection, ranges: Sequence[tuple[int, int]], limit: int) -> list[Change]:
    """The first `limit` visible changes in ranges of positions, both ends included."""
    lows, highs = [low for low, _ in ranges], [high for _, high in ranges]
    values = {"lows": lows, "highs": highs, "limit": limit}
    return fetch_all(conn, Change, _SQL.changes_within, values)


def changes_of_order(conn: Connection, number: str, after: int) -> list[Change]:
    """The changes of an order after its `after`th; none for an unknown order."""
    return fetch_all(conn, Change, _SQL.changes_of_order, {"number": number, "after": after})


def estimate_changes(conn: Connection, numbers: list[str], by: str, notes: str) -> list[Change]:
    """The estimates of those of these orders that still wait, in the form of changes."""
    values = {"numbers": numbers, "by": by, "notes": notes}
    return fetch_all(conn, Change, _SQL.estimate_changes, values)


def head_position(conn: Connection) -> int:
    """The highest visible position, 0 without any."""
    return _number(conn, _SQL.head_position)


def last_assigned_position(conn: Connection) -> int:
    """The last position that was assigned to a change, committed or not; 0 without any."""
    return _number(conn, _SQL.last_assigned_position)


def find_gaps(conn: Connection, upto: int) -> list[tuple[int, int]]:
    """The ranges of positions before `upto` without a visible change, among the last DEPTH."""
    return [(low, high) for low, high in conn.execute(_SQL.gaps, {"upto": upto})]


def positions_after(conn: Connection, after: int) -> frozenset[int]:
    """The visible positions after a position, at most 5000."""
    return frozenset(
        position for (position,) in conn.execute(_SQL.positions_after, {"after": after})
    )


def open_transactions(conn: Connection) -> frozenset[str]:
    """The open transactions that may have written a change."""
    return frozenset(name for (name,) in conn.execute(_SQL.open_transactions))


def _number(conn: Connection, query: str) -> int:
    return int(fetch_first(conn, query)[0])
