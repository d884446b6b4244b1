"""An event as its handler gets it, and what the handler may say to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pizza.database.connection import BoundedConnection
from pizza.taskqueue.dead_letters.headers import OutgoingDeadLetter
from pizza.taskqueue.message import Delivery, sanitize_text


@dataclass(frozen=True, slots=True)
class Event:
    """One delivery of an event.

    id: the sender's message_id; None when it gave none, and no UUID unless it is one of ours.
    body: its JSON. attempt: from 1, counted anew after a redelivery.
    """

    id: str | None
    exchange: str
    routing_key: str
    headers: dict[str, Any]
    body: Any
    redelivered: bool
    attempt: int
    reply_to: str | None
    correlation_id: str | None
    delivery: Delivery

    def dead_letter(self, reason: str) -> OutgoingDeadLetter:
        """For a handler that dead-letters the event with effects of its transaction.

        The handler calls `write_to_outbox` of the result, and returns.
        """
        return OutgoingDeadLetter.from_delivery(self.delivery, reason, attempt=self.attempt)


Afterwards = Callable[[], None]
Handler = Callable[[Event, BoundedConnection | None], Afterwards | None]
"""What a subscriber does with an event.

The connection is inside an open transaction that commits when the handler returns, and before
the event is acknowledged; None where the subscriber has no database. A function that is
returned runs after the commit, for what must not be done twice or in vain, such as a log line.

Raises DuplicateEvent for an event that had its effect before (the application's unique key has said
so): nothing is kept of the transaction, and the event is over. PoisonMessage: to the dead
letters at once. Anything else: tried again, as the policy says.
"""

Burial = Callable[[Event, str, BoundedConnection | None], None]
"""Told of an event that goes to the dead letters, with the reason, in the same transaction."""


def read(queue: str, message: Any) -> tuple[Delivery, Callable[[], Event]]:
    """A py-amqp message as a delivery, and its way to an event, which raises PoisonMessage."""
    found = Delivery.from_amqp(queue, message)

    def event() -> Event:
        delivery = message.delivery_info
        return Event(
            id=found.message_id,
            exchange=sanitize_text(delivery.get("exchange") or ""),
            routing_key=sanitize_text(delivery.get("routing_key") or ""),
            headers=found.headers,
            body=found.json(),
            redelivered=found.redelivered,
            attempt=1,
            reply_to=found.reply_to,
            correlation_id=found.correlation_id,
            delivery=found,
        )

    return found, event
