"""The event that a handler receives, and the types of its callbacks."""

from collections.abc import Callable, Mapping
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


def parse_event(delivery: Delivery, info: Mapping[str, Any]) -> Event:
    """The event of a delivery. info: `delivery_info` of py-amqp. Raises PoisonMessage."""
    return Event(
        id=delivery.message_id,
        exchange=sanitize_text(info.get("exchange") or ""),
        routing_key=sanitize_text(info.get("routing_key") or ""),
        headers=delivery.headers,
        body=delivery.json(),
        redelivered=delivery.redelivered,
        attempt=1,
        reply_to=delivery.reply_to,
        correlation_id=delivery.correlation_id,
        delivery=delivery,
    )
