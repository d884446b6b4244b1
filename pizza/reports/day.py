"""Reads the day of a report."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from pizza.domain.errors import FieldError, InvalidRequest

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
