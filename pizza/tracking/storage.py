"""Tables of the tracking service: events, gaps, stuck orders, status requests and replies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from pizza.database.connection import Connection, fetch_first
from pizza.database.planning import index_plans
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all
from pizza.orders import StatusMessage

_SQL = Queries("restaurant/tracking")

# Orders that one check changes; the most urgent first, the others at the next check.
SLICE = 1000


@dataclass(frozen=True, slots=True)
class StuckOrder:
    """An order that was in `status` for `seconds`. now: its status, if it has changed since."""

    number: str
    status: str
    seconds: float
    now: str | None = None


def record_event(conn: Connection, message: StatusMessage) -> int | None:
    """Store an event, update its order and the metrics; None if it was stored before.

    An event without order type and priority is not counted in the metrics. Returns the highest
    sequence number of the order so far, 0 for none.
    """
    values = {
        "event_id": message.event_id,
        "number": message.number,
        "sequence": message.sequence,
        "old": message.old,
        "new": message.new,
        "by": message.by,
        "at": message.at,
        "promised": message.estimated_completion,
        "type": None if message.priority is None else message.order_type,
        "priority": message.priority,
    }
    new_one, before, _counted = fetch_first(conn, _SQL.record_event, values)
    return before if new_one else None


def open_gap(conn: Connection, number: str, first: int, last: int) -> None:
    """Record that the events `first` to `last` of an order are missing."""
    conn.execute(_SQL.open_gap, {"number": number, "first": first, "last": last})


def fill_gap(conn: Connection, number: str, sequence: int, event_id: UUID) -> int | None:
    """Record a late event; returns how many of its gap are missing, None if it was in no gap."""
    values = {"number": number, "sequence": sequence, "event_id": event_id}
    row = conn.execute(_SQL.fill_gap, values).fetchone()
    return row[0] if row else None


def insert_untracked(conn: Connection) -> int:
    """Insert up to SLICE orders in the kitchen that have no event yet; returns how many."""
    with index_plans(conn):
        return conn.execute(_SQL.insert_untracked, {"limit": SLICE}).rowcount


def update_estimates(
    conn: Connection, least: timedelta, share: float
) -> list[tuple[str, datetime]]:
    """Copy the estimates of waiting orders that have moved; returns (number, time in UTC).

    Shifts of less than `least`, or of `share` of the remaining wait, are ignored.
    """
    values = {"least": least, "share": share, "limit": SLICE}
    with index_plans(conn):
        return conn.execute(_SQL.update_estimates, values).fetchall()


def notify_estimates(
    conn: Connection, least: timedelta, share: float, by: str
) -> list[tuple[str, datetime]]:
    """Send a notification for each waiting order whose estimate has moved since the last one.

    Measured as by `update_estimates`; by: `changed_by` of the notification. Returns (number, time
    in UTC).
    """
    values = {"least": least, "share": share, "by": by, "limit": SLICE}
    with index_plans(conn):
        return conn.execute(_SQL.notify_estimates, values).fetchall()


def mark_stuck(conn: Connection, factor: float, grace: timedelta) -> list[StuckOrder]:
    """Record orders past `factor` times their estimate and past `grace`; returns the new ones."""
    values = {"factor": factor, "grace": grace, "limit": SLICE}
    with index_plans(conn):
        return fetch_all(conn, StuckOrder, _SQL.mark_stuck, values)


def resolve_stuck(conn: Connection) -> list[StuckOrder]:
    """Close the records of stuck orders whose status has changed; returns those orders."""
    return fetch_all(conn, StuckOrder, _SQL.resolve_stuck)


def find_reply(conn: Connection, message_id: str) -> dict[str, Any] | None:
    """The reply to an earlier status request with this message id, or None."""
    row = conn.execute(_SQL.find_reply, {"message_id": message_id}).fetchone()
    return row[0] if row else None


def insert_reply(
    conn: Connection, message_id: str, *, number: str, new: str, by: str, reply: dict[str, Any]
) -> None:
    """Store the reply to a status request."""
    values = {"message_id": message_id, "number": number, "new": new, "by": by}
    conn.execute(_SQL.insert_reply, values | {"answer": Jsonb(reply)})
