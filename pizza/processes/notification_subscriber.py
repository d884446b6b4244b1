"""The notification subscriber: prints or logs changes of orders, of one customer or of all.

Without a name it has a temporary queue and receives what happens while it runs. With a name its
queue is durable: it also receives what happened while it was away, once and in order.
"""

from __future__ import annotations

import logging
import secrets
import sys
from typing import Any

from pizza.app import create_task_app
from pizza.config.settings import Settings
from pizza.domain.names import fold_name
from pizza.notifications.handler import (
    NotificationFilter,
    NotificationHandler,
    Printer,
    log_notification,
)
from pizza.taskqueue.errors import RegistrationRefused
from pizza.taskqueue.service import run_until_stopped
from pizza.taskqueue.subscriber.subscriber import Subscriber, SubscriberOptions
from pizza.topology import subscriber_queue

log = logging.getLogger(__name__)


def run_subscriber(settings: Settings) -> int:
    """Run a subscriber until shutdown; returns the process's exit code.

    Raises RegistrationRefused when another one of its name is at work.
    """
    name = settings.subscriber_name
    handler = NotificationHandler(
        name or f"anonymous-{secrets.token_hex(4)}",
        NotificationFilter(
            fold_name(settings.customer) if settings.customer else None,
            settings.notification_types,
        ),
        _make_printer(settings),
    )
    queue = subscriber_queue(name)
    subscriber = Subscriber(
        create_task_app(),
        settings.broker_url,
        SubscriberOptions(
            name=queue.name,
            queue=queue,
            heartbeat=int(settings.heartbeat_seconds),
            exclusive=bool(name),
            on_ready=lambda: _log_start(settings),
            on_dead_letter=handler.on_dead_letter,
        ),
        handler.handle,
        settings.db_url or None,
    )
    try:
        run_until_stopped(subscriber)
    except RegistrationRefused as refusal:
        raise RegistrationRefused(
            f"A subscriber named {name!r} is already at work; choose another name."
        ) from refusal
    log.info("Subscriber disconnected", extra={"action": "unsubscribed"})
    return 0


def _log_start(settings: Settings) -> None:
    details: dict[str, Any] = {"types": list(settings.notification_types)}
    if settings.subscriber_name:
        details["name"] = settings.subscriber_name
    text = "Subscribed to all notifications"
    if settings.customer:
        text = f"Subscribed to notifications for customer: {settings.customer}"
    log.info("%s", text, extra={"action": "subscribed", "details": details})


def _make_printer(settings: Settings) -> Printer:
    """Prints on a terminal, else logs each notification."""
    if settings.log_file is None and sys.stdout is not None and sys.stdout.isatty():
        from pizza.notifications.terminal import make_terminal_printer  # noqa: PLC0415  (rich)

        return make_terminal_printer()
    return log_notification
