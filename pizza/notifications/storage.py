"""The log of deliveries: which subscriber has received which notification."""

from __future__ import annotations

from uuid import UUID

from pizza.database.connection import Connection
from pizza.database.queries import Queries

_INSERT_DELIVERY = Queries("restaurant/notifications").insert_delivery

DELIVERED, DEAD = "delivered", "dead"


def insert_delivery(
    conn: Connection,
    *,
    subscriber: str,
    event_id: UUID,
    number: str,
    status: str,
    attempts: int,
    outcome: str,
    reason: str | None = None,
) -> bool:
    """Insert one delivery; False if the subscriber has received the event before."""
    values = {
        "subscriber": subscriber, "event_id": event_id, "number": number, "status": status,
        "attempts": attempts, "outcome": outcome, "reason": reason,
    }  # fmt: skip
    return conn.execute(_INSERT_DELIVERY, values).rowcount == 1
