"""The tracking service: keeps every notification, and notices those that are missing or late.

It owns `notifications_queue`; beside that it carries out status requests
(`services.status_requests`) and watches over orders and workers (`services.watch`).
"""

from __future__ import annotations

import logging
import math
import threading
from typing import Any

from pizza.database.connection import BoundedConnection
from pizza.framework.errors import Duplicate
from pizza.framework.event import Afterwards, Event
from pizza.framework.relay import Relay
from pizza.framework.service import Later, serve
from pizza.framework.subscriber import Subscriber, SubscriberOptions
from pizza.services import status_requests, webhook_events
from pizza.services.restaurant import make_app
from pizza.services.status_messages import StatusMessage, read_status_message
from pizza.services.topology import NOTIFICATIONS, TRACKING_STATUS
from pizza.services.watch import Watch
from pizza.settings import Settings
from pizza.storage import tracking

log = logging.getLogger(__name__)


def run_tracking(settings: Settings) -> int:
    """Run the tracking service until it is told to stop; returns the process's exit code.

    A second one stands by until the first is gone, so that events stay in order.
    """
    assert settings.db_url, "the command line insists on it"
    app = make_app(settings)
    title = settings.mode or "tracking-service"
    relay = Later(Relay(app, settings.db_url, settings.broker_url, name=title))
    opening = _Opening(2, relay)

    def options(name: str, queue: Any) -> SubscriberOptions:
        return SubscriberOptions(
            name=name,
            queue=queue,
            heartbeat=int(settings.heartbeat_seconds),
            alone=True,
            patience=math.inf,
            ready=opening.ready,
        )

    serve(
        Subscriber(
            app, settings.broker_url, options("tracking-events", NOTIFICATIONS),
            on_notification, settings.db_url,
        ),
        Subscriber(
            app, settings.broker_url, options("tracking-requests", TRACKING_STATUS),
            status_requests.on_request, settings.db_url,
        ),
        Watch(
            settings.db_url,
            factor=settings.stuck_factor,
            interval=settings.watch_interval,
            name=f"{title} watch",
        ),
        relay,
    )  # fmt: skip
    log.info("Tracking service stopped", extra={"action": "service_stopped"})
    return 0


class _Opening:
    """The service has started when its last subscriber is ready; then its relay begins."""

    def __init__(self, parts: int, relay: Later) -> None:
        self._left = parts
        self._relay = relay
        self._counting = threading.Lock()

    def ready(self) -> None:
        with self._counting:
            self._left -= 1
            if self._left == 0:
                log.info("Tracking service started", extra={"action": "service_started"})
                self._relay.begin()


def on_notification(event: Event, conn: BoundedConnection | None) -> Afterwards:
    """Store a notification, and have webhooks told of it.

    Raises Duplicate for one that is stored, PoisonMessage.
    """
    assert conn is not None, "tracking has a database"
    message = read_status_message(event.body, event.id)
    before = tracking.record(
        conn,
        event_id=message.event_id,
        number=message.number,
        sequence=message.sequence,
        old=message.old,
        new=message.new,
        by=message.by,
        at=message.at,
        promised=message.estimated_completion,
        order_type=message.order_type,
        priority=message.priority,
    )
    if before is None:
        raise Duplicate(f"event {message.event_id} of order {message.number} is stored already")
    webhook_events.tell(conn, message)
    note = _order_of_arrival(conn, message, before)

    def tell() -> None:
        _status_changed(message)
        if note is not None:
            note()

    return tell


def _order_of_arrival(
    conn: BoundedConnection, message: StatusMessage, before: int
) -> Afterwards | None:
    """Compare an event's number with those that came before it; what is to be said of that."""
    number, sequence = message.number, message.sequence
    if sequence is None or sequence == before + 1:
        return None
    if sequence > before:
        tracking.open_gap(conn, number, before + 1, sequence - 1)
        return lambda: _gap(number, before + 1, sequence - 1)
    missing = tracking.fill_gap(conn, number, sequence, message.event_id)
    return lambda: _late(number, sequence, before, missing)


def _status_changed(message: StatusMessage) -> None:
    was = f"from '{message.old}' " if message.old else ""
    text = f"Order status changed {was}to '{message.new}' by {message.by}"
    if message.old == message.new:  # another priority, another cook
        text = f"Order changed by {message.by}, its status is still '{message.new}'"
    log.info(
        "%s", text,
        extra={
            "action": "status_changed",
            "order_number": message.number,
            "details": {
                "old_status": message.old,
                "new_status": message.new,
                "changed_by": message.by,
                "at": message.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "sequence": message.sequence,
                "event_id": str(message.event_id),
            },
        },
    )  # fmt: skip


def _gap(number: str, first: int, last: int) -> None:
    what = f"Event {first} is" if first == last else f"Events {first} to {last} are"
    log.warning(
        "%s missing", what,
        extra={
            "action": "event_gap",
            "order_number": number,
            "details": {"first": first, "last": last},
        },
    )  # fmt: skip


def _late(number: str, sequence: int, newest: int, missing: int | None) -> None:
    if missing is None:
        text = f"Event {sequence} came late, and another had its number"
    elif missing == 0:
        text = f"Event {sequence} came late; the gap is filled"
    else:
        text = f"Event {sequence} came late; {missing} more of its gap are missing"
    log.warning(
        "%s", text,
        extra={
            "action": "event_late",
            "order_number": number,
            "details": {"sequence": sequence, "newest": newest, "filled": missing == 0},
        },
    )  # fmt: skip
