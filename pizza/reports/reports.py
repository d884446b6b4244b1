"""What the manager asks: how a day went, how long each priority waits."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from pizza.database.connection import Connection
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.reports import storage as reports
from pizza.reports.storage import DayReport, PriorityWait

TODAY = "today"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_day(text: str) -> date:
    """Read `2024-12-16` or `today` (UTC, as order numbers count). Raises InvalidRequest."""
    if text == TODAY:
        return datetime.now(UTC).date()
    try:
        # fromisoformat alone would also take 20241216 and 2024-W51-1.
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidRequest([FieldError("day", "must be a day such as 2024-12-16, or today")])


def day_report(conn: Connection, day: date) -> DayReport:
    """Count, preparation time, lateness and cancellations of the orders of a day."""
    return reports.day_report(conn, day)


def priority_waits(conn: Connection) -> list[PriorityWait]:
    """How long the newest orders waited, by priority."""
    return reports.priority_waits(conn)
