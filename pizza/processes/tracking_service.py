"""The tracking service: records notifications, answers status requests, monitors orders.

It consumes `notifications_queue` (pizza.tracking.recorder) and the queue of status requests
(pizza.tracking.status_requests), and runs the monitor (pizza.tracking.monitor).
"""

from __future__ import annotations

import logging
import math
import threading
from typing import Any

from pizza.app import create_task_app
from pizza.config.settings import Settings
from pizza.taskqueue.outbox.relay import Relay
from pizza.taskqueue.service import DeferredService, run_until_stopped
from pizza.taskqueue.subscriber.event import Handler
from pizza.taskqueue.subscriber.subscriber import Subscriber, SubscriberOptions
from pizza.topology import NOTIFICATIONS, TRACKING_STATUS
from pizza.tracking import status_requests
from pizza.tracking.monitor import OrderMonitor
from pizza.tracking.recorder import on_notification

log = logging.getLogger(__name__)


def run_tracking(settings: Settings) -> int:
    """Run the tracking service until shutdown; returns the process's exit code.

    A second one waits until the first has ended, so that events stay in order.
    """
    assert settings.db_url, "the command line insists on it"
    app = create_task_app(settings)
    title = settings.mode or "tracking-service"
    relay = DeferredService(Relay(app, settings.db_url, settings.broker_url, name=title))
    barrier = _StartupBarrier(2, relay)

    def subscriber(name: str, queue: Any, handler: Handler) -> Subscriber:
        options = SubscriberOptions(
            name=name,
            queue=queue,
            heartbeat=int(settings.heartbeat_seconds),
            exclusive=True,
            takeover_timeout=math.inf,
            on_ready=barrier.ready,
        )
        return Subscriber(app, settings.broker_url, options, handler, settings.db_url)

    monitor = OrderMonitor(
        settings.db_url,
        factor=settings.stuck_factor,
        interval=settings.monitor_interval,
        name=f"{title} watch",
    )
    run_until_stopped(
        subscriber("tracking-events", NOTIFICATIONS, on_notification),
        subscriber("tracking-requests", TRACKING_STATUS, status_requests.handle_request),
        monitor,
        relay,
    )
    log.info("Tracking service stopped", extra={"action": "service_stopped"})
    return 0


class _StartupBarrier:
    """Logs the start and starts the relay once all subscribers are ready."""

    def __init__(self, parts: int, relay: DeferredService) -> None:
        self._left = parts
        self._relay = relay
        self._counting = threading.Lock()

    def ready(self) -> None:
        with self._counting:
            self._left -= 1
            if self._left == 0:
                log.info("Tracking service started", extra={"action": "service_started"})
                self._relay.start_now()
