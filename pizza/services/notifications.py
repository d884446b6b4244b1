"""A notification subscriber: tells of changes of orders, to one customer or of all.

Without a name it has a queue for as long as it lives, and hears what happens meanwhile. With
a name its queue is kept while it is away, so it gets what it missed, once and in order.
The database is optional: with it every delivery is logged there.
"""

from __future__ import annotations

import logging
import secrets
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pizza.database.connection import BoundedConnection
from pizza.domain.names import fold
from pizza.domain.status import STATUSES
from pizza.framework.epitaph import clean
from pizza.framework.errors import Duplicate, PoisonMessage, SessionRefused
from pizza.framework.event import Event
from pizza.framework.service import serve
from pizza.framework.subscriber import Subscriber, SubscriberOptions
from pizza.services.restaurant import make_app
from pizza.services.status_messages import StatusMessage, read_status_message
from pizza.services.topology import subscriber_queue
from pizza.settings import Settings
from pizza.storage import notifications

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

        Raises Duplicate, PoisonMessage, and what `show` raises.
        """
        message = read_status_message(event.body, event.id)
        if message not in self._wanted:
            return
        shown = message.event_id in self._shown
        new = not shown if conn is None else self._note(conn, message, event.attempt)
        if not new:
            raise Duplicate(f"event {message.event_id} was delivered before")
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
            reason=clean(reason) if reason else None,
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


def run_subscriber(settings: Settings) -> int:
    """Run a subscriber until it is told to stop; returns the process's exit code.

    Raises SessionRefused when another one of its name is at work.
    """
    name = settings.subscriber_name
    deliveries = Deliveries(
        name or f"anonymous-{secrets.token_hex(4)}",
        Wanted(
            fold(settings.customer) if settings.customer else None,
            settings.notification_types,
        ),
        _shower(settings),
    )
    queue = subscriber_queue(name)
    subscriber = Subscriber(
        make_app(),
        settings.broker_url,
        SubscriberOptions(
            name=queue.name,
            queue=queue,
            heartbeat=int(settings.heartbeat_seconds),
            alone=bool(name),
            ready=lambda: _announce(settings),
            buried=deliveries.give_up,
        ),
        deliveries.deliver,
        settings.db_url or None,
    )
    try:
        serve(subscriber)
    except SessionRefused as refusal:
        raise SessionRefused(
            f"A subscriber named {name!r} is already at work; choose another name."
        ) from refusal
    log.info("Subscriber disconnected", extra={"action": "unsubscribed"})
    return 0


def _announce(settings: Settings) -> None:
    details: dict[str, Any] = {"types": list(settings.notification_types)}
    if settings.subscriber_name:
        details["name"] = settings.subscriber_name
    text = "Subscribed to all notifications"
    if settings.customer:
        text = f"Subscribed to notifications for customer: {settings.customer}"
    log.info("%s", text, extra={"action": "subscribed", "details": details})


def _shower(settings: Settings) -> Show:
    """People read lines, programs read the log."""
    if settings.log_file is None and sys.stdout is not None and sys.stdout.isatty():
        from pizza.services.notice import Screen  # noqa: PLC0415  (rich only for a terminal)

        return Screen().show
    return write_line
