"""The relay's connection to RabbitMQ."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import amqp

from pizza.database.connection import BoundedConnection
from pizza.taskqueue.app import App
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.broker.publisher import Publisher
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.outbox import subscriptions
from pizza.taskqueue.retry import Backoff, Repeated

log = logging.getLogger(__name__)


class RelayLink:
    """The publisher's connection to RabbitMQ, made again after each loss, after growing pauses.

    away: whether RabbitMQ could not be reached. blocked: whether it takes no messages, which stays
    known while the connection is made again.
    """

    def __init__(self, app: App, url: str, name: str) -> None:
        self._app = app
        self._url = url
        self._name = name
        self.broker: BrokerConnection | None = None
        self.publisher: Publisher | None = None
        self.away = False
        self.blocked = False
        self._told = False  # by the connection that is open now
        self._trouble = Repeated()
        self._backoff = Backoff()
        self._try_from = 0.0

    def broker_state(self) -> str | None:
        """How RabbitMQ looks from here: ok, away or blocked; None before the first try."""
        if self.blocked:
            return "blocked"
        if self.away:
            return "away"
        return "ok" if self.broker is not None else None

    def next_try_in(self) -> float:
        """Seconds until the next try to connect."""
        return max(0.02, self._try_from - time.monotonic())

    def connected(self, conn: BoundedConnection, on_wait: Callable[[], None]) -> bool:
        """Whether there is a connection, with everything declared; makes one if it is time to.

        on_wait: for the Publisher of a new connection.
        """
        if self.broker is not None:
            return True
        if time.monotonic() < self._try_from:
            return False
        try:
            self.broker = BrokerConnection(self._url, name=self._name)
            self.broker.declare(self._app.topology)
            subscriptions.declare_all(conn, self.broker, self._app.topology)
            self.publisher = Publisher(self.broker, on_wait)
        except BrokerUnavailable as error:
            self.blocked = False  # it cannot even be reached
            self.lost(error)
            return False
        self.away = False
        if self._trouble.is_over():
            log.info("RabbitMQ is back", extra={"action": "broker_reconnected"})
        self._backoff.reset()
        return True

    def is_blocked(self) -> bool:
        """Whether RabbitMQ takes no messages, as of what was read from it; logs each change.

        RabbitMQ tells a connection at the first message that it publishes meanwhile.
        """
        if self.broker is not None and self.broker.blocked:
            self._told = True
            if not self.blocked:
                self.blocked = True
                log.warning(
                    "RabbitMQ takes no messages: it is short of memory or disk space",
                    extra={"action": "broker_blocked"},
                )
        elif self._told:
            self._set_unblocked()
        return self.blocked

    def confirmed(self) -> None:
        """RabbitMQ has confirmed messages: unless this connection is blocked, none is."""
        if self.blocked and self.broker is not None and not self.broker.blocked:
            self._set_unblocked()

    def _set_unblocked(self) -> None:
        self.blocked = self._told = False
        log.info("RabbitMQ takes messages again", extra={"action": "broker_unblocked"})

    def lost(self, error: BrokerUnavailable) -> None:
        """Drop the connection, and say so once."""
        self.is_blocked()
        self.drop()
        if isinstance(error.__cause__, amqp.ChannelError):
            return  # one message was wrong, the broker is not; see Batches
        self._try_from = time.monotonic() + self._backoff.next()
        # A blocked broker is blocked for every process; none would lead better.
        self.away = not self.blocked
        if self._trouble.is_due(error):
            log.warning("Relay: %s; trying again", error, extra={"action": "broker_lost"})

    def drop(self) -> None:
        """Close the connection if there is one."""
        if self.broker is not None:
            self.broker.close()
        self.broker = self.publisher = None
        self._told = False
