"""What the tracking service keeps: events, gaps, stuck orders, requests and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from pizza.database.planning import index_plans
from pizza.database.queries import Queries

_SQL = Queries("restaurant/tracking")
_RECORD, _OPEN_GAP, _FILL_GAP = _SQL.record, _SQL.open_gap, _SQL.fill_gap
_CENSUS, _STUCK, _UNSTUCK = _SQL.census, _SQL.stuck, _SQL.unstuck
_ANSWERED, _ANSWER, _MOVED, _TELL = (
    _SQL.answered, _SQL.answer, _SQL.moved_estimates, _SQL.tell_estimates,
)  # fmt: skip

Connection = psycopg.Connection[Any]

# Orders that one look changes; the most urgent first, the others at the next look.
SLICE = 1000


@dataclass(frozen=True, slots=True)
class StuckOrder:
    """An order that has been in `status` for `seconds`; now: its status since, if it moved on."""

    number: str
    status: str
    seconds: float
    now: str | None = None


def record(
    conn: Connection,
    *,
    event_id: UUID,
    number: str,
    sequence: int | None,
    old: str | None,
    new: str,
    by: str,
    at: datetime,
    promised: datetime | None,
    order_type: str | None = None,
    priority: int | None = None,
) -> int | None:
    """Store an event, move its order on and count the change; None when it was stored before.

    order_type, priority: what it counts under; without them it is not counted.
    Returns the highest sequence number of the order so far, 0 for none.
    """
    values = {
        "event_id": event_id, "number": number, "sequence": sequence, "old": old, "new": new,
        "by": by, "at": at, "promised": promised,
        "type": None if priority is None else order_type, "priority": priority,
    }  # fmt: skip
    row = conn.execute(_RECORD, values).fetchone()
    assert row is not None
    new_one, before, _counted = row
    return before if new_one else None


def open_gap(conn: Connection, number: str, first: int, last: int) -> None:
    """Note that the events `first` to `last` of an order have not come."""
    conn.execute(_OPEN_GAP, {"number": number, "first": first, "last": last})


def fill_gap(conn: Connection, number: str, sequence: int, event_id: UUID) -> int | None:
    """Note that one of them has; returns how many of its gap are missing, None: it was in none."""
    values = {"number": number, "sequence": sequence, "event_id": event_id}
    row = conn.execute(_FILL_GAP, values).fetchone()
    return row[0] if row else None


def census(conn: Connection) -> int:
    """Insert up to SLICE orders in the kitchen of which no event has come yet; returns how many."""
    with index_plans(conn):
        return conn.execute(_CENSUS, {"limit": SLICE}).rowcount


def moved_estimates(conn: Connection, least: timedelta, share: float) -> list[tuple[str, datetime]]:
    """Take over the estimates of waiting orders that have moved; returns (number, moment UTC).

    Less than `least`, or than `share` of the wait that is left, is no move.
    """
    values = {"least": least, "share": share, "limit": SLICE}
    with index_plans(conn):
        return conn.execute(_MOVED, values).fetchall()


def tell_estimates(
    conn: Connection, least: timedelta, share: float, by: str
) -> list[tuple[str, datetime]]:
    """Send a notification for each waiting order that is to be ready at another time than told.

    Measured as for `moved_estimates`; by: who changes, in the notification. Returns (number,
    moment UTC).
    """
    values = {"least": least, "share": share, "by": by, "limit": SLICE}
    with index_plans(conn):
        return conn.execute(_TELL, values).fetchall()


def newly_stuck(conn: Connection, factor: float, grace: timedelta) -> list[StuckOrder]:
    """Orders past `factor` times their estimate, and past `grace`, that were not named before."""
    values = {"factor": factor, "grace": grace, "limit": SLICE}
    with index_plans(conn):
        rows = conn.execute(_STUCK, values).fetchall()
    return [StuckOrder(number, status, seconds) for number, status, seconds in rows]


def no_longer_stuck(conn: Connection) -> list[StuckOrder]:
    """Orders that were named and have moved on since, once each."""
    rows = conn.execute(_UNSTUCK).fetchall()
    return [StuckOrder(number, status, seconds, now) for number, status, now, seconds in rows]


def answer_to(conn: Connection, message_id: str) -> dict[str, Any] | None:
    """What a status request of this id was answered before."""
    row = conn.execute(_ANSWERED, {"message_id": message_id}).fetchone()
    return row[0] if row else None


def note_answer(
    conn: Connection, message_id: str, *, number: str, new: str, by: str, answer: dict[str, Any]
) -> None:
    """Keep the answer to a status request."""
    values = {"message_id": message_id, "number": number, "new": new, "by": by}
    conn.execute(_ANSWER, values | {"answer": Jsonb(answer)})
