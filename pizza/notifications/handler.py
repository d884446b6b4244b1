"""Handles notifications for one subscriber: filters, prints and records them.

The database is optional; if there is one, every delivery is recorded in it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from pizza.database.connection import BoundedConnection
from pizza.domain.names import fold_name
from pizza.domain.status import STATUSES
from pizza.notifications.storage import DEAD, insert_delivery
from pizza.orders import StatusMessage, read_status_message
from pizza.taskqueue.errors import DuplicateEvent, PoisonMessage
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import sanitize_text
from pizza.taskqueue.subscriber.event import Event

log = logging.getLogger(__name__)

_DEDUP_SIZE = 10_000

Printer = Callable[[StatusMessage], None]


@dataclass(frozen=True, slots=True)
class NotificationFilter:
    """The notifications that a subscriber receives. customer: a name key, None for all."""

    customer: str | None = None
    types: tuple[str, ...] = STATUSES

    def __contains__(self, message: StatusMessage) -> bool:
        if message.new not in self.types:
            return False
        return self.customer is None or fold_name(message.customer or "") == self.customer


class NotificationHandler:
    """Handles notifications for one subscriber: prints those that match, each once.

    printer: prints one; an exception is a failed delivery, which is retried.
    """

    def __init__(self, subscriber: str, filter: NotificationFilter, printer: Printer) -> None:
        self._subscriber = subscriber
        self._filter = filter
        self._printer = printer
        self._shown: OrderedDict[UUID, None] = OrderedDict()

    def handle(self, event: Event, conn: BoundedConnection | None) -> None:
        """Print a notification, and record that in the database if there is one.

        Raises DuplicateEvent, PoisonMessage, and what the printer raises.
        """
        message = read_status_message(event.body, event.id)
        if message not in self._filter:
            return
        shown = message.event_id in self._shown
        new = not shown
        if conn is not None:
            new = insert_delivery(conn, self._subscriber, message, attempts=event.attempt)
        if not new:
            raise DuplicateEvent(f"event {message.event_id} was delivered before")
        if not shown:  # otherwise it was printed, and the database was lost before the commit
            self._printer(message)
            self._shown[message.event_id] = None
            if len(self._shown) > _DEDUP_SIZE:
                self._shown.popitem(last=False)

    def on_dead_letter(self, event: Event, reason: str, conn: BoundedConnection | None) -> None:
        """Record a delivery that has failed for the last time."""
        if conn is None:
            return
        try:
            message = read_status_message(event.body, event.id)
        except PoisonMessage:
            return  # not a notification; it is among the dead letters
        why = sanitize_text(reason) or None
        insert_delivery(
            conn, self._subscriber, message, attempts=event.attempt, outcome=DEAD, reason=why
        )


def format_sentence(message: StatusMessage) -> str:
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


def log_notification(message: StatusMessage) -> None:
    """Log a notification."""
    text, number = format_sentence(message), message.number
    log_action(log.info, "notification_received", text, message.body, order_number=number)
