"""The log of deliveries: which subscriber was given which notification."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from pizza.database.queries import Queries

_NOTE = Queries("restaurant/notifications").note

DELIVERED, DEAD = "delivered", "dead"


def note(
    conn: psycopg.Connection[Any],
    *,
    subscriber: str,
    event_id: UUID,
    number: str,
    status: str,
    attempts: int,
    outcome: str,
    reason: str | None = None,
) -> bool:
    """Log one delivery; False when the subscriber's log has the event already."""
    values = {
        "subscriber": subscriber, "event_id": event_id, "number": number, "status": status,
        "attempts": attempts, "outcome": outcome, "reason": reason,
    }  # fmt: skip
    return conn.execute(_NOTE, values).rowcount == 1
