"""The relay's publisher, which reconnects to RabbitMQ."""

import logging
import time
from collections.abc import Callable
from enum import StrEnum

import amqp

from pizza.database.connection import BoundedConnection
from pizza.taskqueue.app import App
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.broker.publisher import Publisher
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.logs import LogThrottle
from pizza.taskqueue.outbox import subscriptions
from pizza.taskqueue.retry import Backoff

log = logging.getLogger(__name__)


class BrokerState(StrEnum):
    """The state of RabbitMQ as the relay sees it; column `broker_state` of `leader`."""

    OK = "ok"
    AWAY = "away"  # cannot be reached
    BLOCKED = "blocked"  # accepts no messages


class ReconnectingPublisher:
    """A broker connection with a Publisher, which reconnects with back-off. One thread owns it.

    state: None while not connected, unless RabbitMQ is known to be away or blocked. A blocked
    broker stays known while the connection is made again.
    """

    def __init__(self, app: App, url: str, name: str) -> None:
        self._app = app
        self._url = url
        self._name = name
        self.connection: BrokerConnection | None = None
        self.publisher: Publisher | None = None
        self.state: BrokerState | None = None
        self._was_notified = False  # of a block, on the open connection
        self._trouble = LogThrottle()
        self._backoff = Backoff()
        self._connect_from = 0.0

    def seconds_until_connect(self) -> float:
        """Seconds until the next attempt to connect."""
        return max(0.02, self._connect_from - time.monotonic())

    def ensure_connected(self, conn: BoundedConnection, on_wait: Callable[[], None]) -> bool:
        """Connect if it is time to, and declare everything; returns whether it is connected.

        on_wait: for the Publisher of a new connection.
        """
        if self.connection is not None:
            return True
        if time.monotonic() < self._connect_from:
            return False
        try:
            self.connection = BrokerConnection(self._url, name=self._name)
            self.connection.declare(self._app.topology)
            subscriptions.declare_all(conn, self.connection, self._app.topology)
            self.publisher = Publisher(self.connection, on_wait)
        except BrokerUnavailable as error:
            if self.state is BrokerState.BLOCKED:
                self.state = None  # it cannot even be reached
            self.handle_loss(error)
            return False
        if self.state is not BrokerState.BLOCKED:
            self.state = BrokerState.OK
        if self._trouble.is_over():
            log.info("RabbitMQ is back", extra={"action": "broker_reconnected"})
        self._backoff.reset()
        return True

    def update_blocked(self) -> bool:
        """Whether RabbitMQ accepts no messages, according to its notifications; logs each change.

        RabbitMQ notifies a connection only after it publishes while blocked.
        """
        if self.connection is not None and self.connection.blocked:
            self._was_notified = True
            if self.state is not BrokerState.BLOCKED:
                self.state = BrokerState.BLOCKED
                text = "RabbitMQ takes no messages: it is short of memory or disk space"
                log.warning(text, extra={"action": "broker_blocked"})
        elif self._was_notified:
            self._set_unblocked()
        return self.state is BrokerState.BLOCKED

    def handle_confirms(self) -> None:
        """Record that RabbitMQ has confirmed messages: it no longer blocks a new connection."""
        is_blocked = self.state is BrokerState.BLOCKED
        if is_blocked and self.connection is not None and not self.connection.blocked:
            self._set_unblocked()

    def _set_unblocked(self) -> None:
        self.state = BrokerState.OK if self.connection is not None else None
        self._was_notified = False
        log.info("RabbitMQ takes messages again", extra={"action": "broker_unblocked"})

    def handle_loss(self, error: BrokerUnavailable) -> None:
        """Close the connection after an error, and log that once."""
        self.update_blocked()
        self.close()
        if isinstance(error.__cause__, amqp.ChannelError):
            return  # a message was wrong, not the broker; see BatchPublisher
        self._connect_from = time.monotonic() + self._backoff.next()
        # A blocked broker is blocked for all processes, so no other one would lead better.
        if self.state is not BrokerState.BLOCKED:
            self.state = BrokerState.AWAY
        if self._trouble.is_due(error):
            log.warning("Relay: %s; trying again", error, extra={"action": "broker_lost"})

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.connection is not None:
            self.connection.close()
        self.connection = self.publisher = None
        self._was_notified = False
        if self.state is BrokerState.OK:
            self.state = None
