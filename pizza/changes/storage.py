"""The changes of all orders in a row, as they are read for live streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.queries import Queries

_SQL = Queries("restaurant/changes")
_AFTER, _WITHIN, _OF_ORDER, _ESTIMATES, _NEWEST, _GAPS, _POSITIONS, _GIVEN, _WRITERS = (
    _SQL.after, _SQL.within, _SQL.of_order, _SQL.estimates, _SQL.newest, _SQL.gaps,
    _SQL.positions, _SQL.given, _SQL.writers,
)  # fmt: skip

Connection = psycopg.Connection[Any]

# How many positions the query `gaps` looks back.
DEPTH = 100_000


@dataclass(frozen=True, slots=True)
class Change:
    """One line of an order's log, and of the order what it is when the line is read.

    position: its place among the changes of all orders, 0 for one that is older than positions
    are; sequence: among those of its order, from 1, None for what is no line of the log, an
    estimate; previous_position: that of the order's change before it, 0 if unknown. Times in UTC.
    """

    position: int
    sequence: int | None
    number: str
    old_status: str | None
    status: str
    changed_by: str
    changed_at: datetime
    estimated_completion: datetime | None
    event_id: UUID
    order_type: str
    priority: int
    stage: str | None
    customer_name: str
    notes: str | None
    previous_position: int = 0


def changes(conn: Connection, after: int, limit: int) -> list[Change]:
    """The first `limit` changes that can be seen after one position."""
    return [Change(*row) for row in conn.execute(_AFTER, {"after": after, "limit": limit})]


def changes_within(conn: Connection, ranges: Sequence[tuple[int, int]], limit: int) -> list[Change]:
    """The first `limit` changes that can be seen in ranges of positions, given by their ends."""
    lows, highs = [low for low, _ in ranges], [high for _, high in ranges]
    rows = conn.execute(_WITHIN, {"lows": lows, "highs": highs, "limit": limit})
    return [Change(*row) for row in rows]


def order_changes(conn: Connection, number: str, after: int) -> list[Change]:
    """The changes of an order after its `after`th; none for an order that is unknown."""
    return [Change(*row) for row in conn.execute(_OF_ORDER, {"number": number, "after": after})]


def estimates(conn: Connection, numbers: list[str], by: str, notes: str) -> list[Change]:
    """When those of these orders that still wait will be ready, as things are now."""
    return [
        Change(*row)
        for row in conn.execute(_ESTIMATES, {"numbers": numbers, "by": by, "notes": notes})
    ]


def newest(conn: Connection) -> int:
    """The highest position that can be seen, 0 without any."""
    return _number(conn, _NEWEST)


def given(conn: Connection) -> int:
    """The last position that a change was given, be it committed or not; 0 without any."""
    return _number(conn, _GIVEN)


def gaps(conn: Connection, upto: int) -> list[tuple[int, int]]:
    """The ranges of positions before `upto` that cannot be seen, among the last DEPTH that can."""
    return [(low, high) for low, high in conn.execute(_GAPS, {"upto": upto})]


def positions(conn: Connection, after: int) -> frozenset[int]:
    """The positions behind another one that can be seen, 5000 of them at most."""
    return frozenset(position for (position,) in conn.execute(_POSITIONS, {"after": after}))


def writers(conn: Connection) -> frozenset[str]:
    """The transactions that may have written a change and have not ended."""
    return frozenset(name for (name,) in conn.execute(_WRITERS))


def _number(conn: Connection, query: str) -> int:
    row = conn.execute(query).fetchone()
    assert row is not None
    return int(row[0])
