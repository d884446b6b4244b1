"""Handles notifications for one subscriber: filters, shows and logs them.

The database is optional: with it every delivery is logged there.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from pizza.database.connection import BoundedConnection
from pizza.domain.names import fold
from pizza.domain.status import STATUSES
from pizza.notifications import storage as notifications
from pizza.orders.status_messages import StatusMessage, read_status_message
from pizza.taskqueue.errors import DuplicateEvent, PoisonMessage
from pizza.taskqueue.message import sanitize_text
from pizza.taskqueue.subscriber.event import Event

log = logging.getLogger(__name__)

_REMEMBERED = 10_000

Show = Callable[[StatusMessage], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a subscriber wants to hear of. customer: the key of one, None for all."""

    customer: str | None = None
    types: tuple[str, ...] = STATUSES

    def __contains__(self, message: StatusMessage) -> bool:
        if message.new not in self.types:
            return False
        return self.customer is None or fold(message.customer or "") == self.customer


class Deliveries:
    """Handles notifications for one subscriber: shows those that are wanted, each once.

    show: delivers one; what it raises is a failed delivery, tried again.
    """

    def __init__(self, subscriber: str, wanted: Wanted, show: Show) -> None:
        self._subscriber = subscriber
        self._wanted = wanted
        self._show = show
        self._shown: OrderedDict[UUID, None] = OrderedDict()

    def deliver(self, event: Event, conn: BoundedConnection | None) -> None:
        """Show a notification, and log that in the database if there is one.

        Raises DuplicateEvent, PoisonMessage, and what `show` raises.
        """
        message = read_status_message(event.body, event.id)
        if message not in self._wanted:
            return
        shown = message.event_id in self._shown
        new = not shown if conn is None else self._note(conn, message, event.attempt)
        if not new:
            raise DuplicateEvent(f"event {message.event_id} was delivered before")
        if not shown:  # else it was, and the database went away before the log was written
            self._show(message)
            self._shown[message.event_id] = None
            if len(self._shown) > _REMEMBERED:
                self._shown.popitem(last=False)

    def give_up(self, event: Event, reason: str, conn: BoundedConnection | None) -> None:
        """Log a delivery that failed for the last time."""
        if conn is None:
            return
        try:
            message = read_status_message(event.body, event.id)
        except PoisonMessage:
            return  # it is no notification; the dead letters have it
        self._note(conn, message, event.attempt, notifications.DEAD, reason)

    def _note(
        self,
        conn: BoundedConnection,
        message: StatusMessage,
        attempts: int,
        outcome: str = notifications.DELIVERED,
        reason: str | None = None,
    ) -> bool:
        return notifications.note(
            conn,
            subscriber=self._subscriber,
            event_id=message.event_id,
            number=message.number,
            status=message.new,
            attempts=attempts,
            outcome=outcome,
            reason=sanitize_text(reason) if reason else None,
        )


def sentence(message: StatusMessage) -> str:
    """A notification as a sentence."""
    about = f"Notification for order {message.number}"
    if message.old is None:
        return f"{about}: status is '{message.new}', by {message.by}"
    if message.old == message.new and message.sequence is None and message.estimated_completion:
        ready = message.estimated_completion.strftime("%H:%M:%S UTC")
        return f"{about}: status is still '{message.new}', ready about {ready}"
    if message.old == message.new:  # another priority, another cook
        return f"{about}: status is still '{message.new}', changed by {message.by}"
    return f"{about}: status changed from '{message.old}' to '{message.new}' by {message.by}"


def write_line(message: StatusMessage) -> None:
    """Deliver to the log."""
    log.info(
        "%s", sentence(message),
        extra={
            "action": "notification_received",
            "order_number": message.number,
            "details": message.body,
        },
    )  # fmt: skip
