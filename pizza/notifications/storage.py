"""The log of deliveries: which subscriber has received which notification."""

from __future__ import annotations

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.orders import StatusMessage

_INSERT_DELIVERY = Queries("restaurant/notifications").insert_delivery

DELIVERED, DEAD = "delivered", "dead"


def insert_delivery(
    conn: Connection,
    subscriber: str,
    message: StatusMessage,
    *,
    attempts: int,
    outcome: str = DELIVERED,
    reason: str | None = None,
) -> bool:
    """Insert one delivery; False if the subscriber has received the event before."""
    values = {
        "subscriber": subscriber,
        "event_id": message.event_id,
        "number": message.number,
        "status": message.new,
        "attempts": attempts,
        "outcome": outcome,
        "reason": reason,
    }
    return conn.execute(_INSERT_DELIVERY, values).rowcount == 1
