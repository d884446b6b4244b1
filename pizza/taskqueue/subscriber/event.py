"""The event that a handler receives, and the types of its callbacks."""

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

    id: the sender's message_id, or None; a UUID only for events of this framework. body: parsed
    JSON. attempt: from 1, and from 1 again after a redelivery.
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


OnCommit = Callable[[], None]
Handler = Callable[[Event, BoundedConnection | None], OnCommit | None]
"""Handles an event, on the handler's thread.

The connection has an open transaction, which commits after the handler returns and before the event
is acknowledged; None for a subscriber without a database. A returned function runs after the
commit, for effects that a rollback cannot undo, such as a log line.

Raises DuplicateEvent for an event that had its effect before (detected by a unique key of the
application): the transaction is rolled back and the event acknowledged. PoisonMessage: the event is
dead-lettered at once. Any other error: the event is retried as the policy says.
"""

OnDeadLetter = Callable[[Event, str, BoundedConnection | None], None]
"""Called with a dead-lettered event, the reason and the connection, in the same transaction."""


def parse_event(queue: str, message: Any) -> tuple[Delivery, Callable[[], Event]]:
    """The delivery of a py-amqp message, and a function that parses it or raises PoisonMessage."""
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
