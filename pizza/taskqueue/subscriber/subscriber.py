"""A subscriber: consumes the events of one queue in order, each with its effect once.

It has two threads. This one owns the broker connection: it receives deliveries, sends heartbeats
and acknowledges processed events. After a lost connection it declares and consumes again. The other
one (HandlerThread) runs the handler on one event after the other.

An exclusive subscriber holds an advisory lock on its name, in its database session. It acquires the
lock before it consumes, and stops consuming when it loses the lock. Its consumer is exclusive as
well, so the next subscriber starts once RabbitMQ has requeued the former one's events in order.

A failed event is retried in its place, so no event overtakes it. After the last attempt it is
dead-lettered. Unacknowledged events are redelivered after a crash or a lost connection; the handler
detects an event that it has processed before (see `Handler`).
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
from kombu import Queue

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.broker.connection import HEARTBEAT_S, BrokerConnection
from pizza.taskqueue.broker.publisher import Publisher
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import BrokerUnavailable, QueueInUse, RegistrationRefused, Released
from pizza.taskqueue.lifecycle import Shutdown
from pizza.taskqueue.logs import LogThrottle, log_action
from pizza.taskqueue.outbox import subscriptions
from pizza.taskqueue.retry import Backoff, RetryPolicy
from pizza.taskqueue.subscriber.event import Handler, OnDeadLetter
from pizza.taskqueue.subscriber.handler import HandlerThread
from pizza.taskqueue.subscriber.session import HandlerConfig, NameLockLost
from pizza.taskqueue.worker.session import MISSING_TABLE_ERRORS, NO_TABLES

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/subscriber")

_TICK_S = 1.0
# A standby checks for the takeover this often.
_STANDBY_S = 0.5
# The server may need a moment to end our former session.
_LOCK_ATTEMPTS, _LOCK_PAUSE_S = 10, 0.1
# How long a stop waits for the current event.
_STOP_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class SubscriberOptions:
    """name: shown in logs and connections; the lock of an exclusive subscriber is named after it.

    queue: with its bindings, declared at each connection. A durable queue stays while the
        subscriber is away. The name of an exclusive queue gets a random suffix at each connection,
        since RabbitMQ may still have the former one.
    prefetch: unacknowledged events at a time. retry: for failed events. heartbeat: seconds.
    exclusive: at most one subscriber of this name consumes. The relay then declares its durable
        queue as well (pizza.taskqueue.outbox.subscriptions).
    takeover_timeout: seconds to wait for the lock before RegistrationRefused (math.inf: no limit).
    time_limit: seconds for one transaction of the handler.
    lease: seconds. A frozen exclusive subscriber loses its name after time_limit + lease.
    on_ready: called once, at the first start of consuming; default: a log record.
    on_dead_letter: called for each dead-lettered event.
    """

    name: str
    queue: Queue
    prefetch: int = 50
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(max_attempts=5, initial_delay=0.2, max_delay=5.0)
    )
    heartbeat: int = HEARTBEAT_S
    exclusive: bool = False
    takeover_timeout: float = 2.0
    time_limit: float = 60.0
    lease: float = 15.0
    on_ready: Callable[[], None] | None = None
    on_dead_letter: OnDeadLetter | None = None


class Subscriber(threading.Thread):
    """Handles events in the background until `stop`.

    db_url: None for a handler without a database; the subscriber then publishes dead letters
    itself, and acknowledges the event after the confirm.
    failure: the error that ended the thread, such as RegistrationRefused.
    """

    def __init__(
        self,
        app: App,
        broker_url: str,
        options: SubscriberOptions,
        handler: Handler,
        db_url: str | None = None,
    ) -> None:
        super().__init__(name=f"subscriber {options.name}", daemon=True)
        self.failure: BaseException | None = None
        self._app = app
        self._broker_url = broker_url
        self._options = options
        self._title = f"{app.name} {options.name}"
        self._shutdown = Shutdown()
        self._handler_stop = threading.Event()
        self._db = (
            ReconnectingConnection(db_url, name=self._title, sleep=self._sleep) if db_url else None
        )
        self._config = HandlerConfig(
            handler,
            options.on_dead_letter,
            options.retry,
            self._db,
            self._on_connect,
            self._renew_lease,
            options.time_limit,
        )
        self._started_at = time.monotonic()
        self._was_ready = False
        self._is_standing_by = False

    def stop(self, timeout: float) -> None:
        """Stop; RabbitMQ requeues unprocessed events. Waits up to `timeout` seconds."""
        self._shutdown.set()
        if self.is_alive():
            self.join(timeout)

    def run(self) -> None:
        """Consume until `stop`; reconnect after a lost connection."""
        self._started_at = time.monotonic()
        try:
            self._subscribe_until_stopped()
        except BaseException as error:
            self.failure = error
        finally:
            if self._db is not None:
                self._db.close()

    def _sleep(self, seconds: float) -> bool:
        """Wait for the database, on either thread; returns whether to give up."""
        if threading.current_thread() is self:
            return self._shutdown.wait(seconds)
        return self._handler_stop.wait(seconds)

    def _subscribe_until_stopped(self) -> None:
        backoff, trouble = Backoff(), LogThrottle()
        while not self._shutdown.is_set():
            began = time.monotonic()
            broker = None
            try:
                self._acquire_name_lock()
                broker = BrokerConnection(
                    self._broker_url, name=self._title, heartbeat=self._options.heartbeat
                )
                handler = self._consume(broker)
                if trouble.is_over():
                    log.info("RabbitMQ is back", extra={"action": "broker_reconnected"})
                self._serve(broker, handler)
            except Released:
                return  # stopped while it stood by
            except NameLockLost as lost:
                log.warning("%s", lost, extra={"action": "subscriber_replaced"})
                if self._db is not None:
                    self._db.close()
            except QueueInUse as taken:
                self._wait_for_takeover(str(taken))
                self._shutdown.wait(min(_STANDBY_S, backoff.next()))
            except BrokerUnavailable as error:
                if trouble.is_due(error):
                    log.warning("%s; trying again", error, extra={"action": "broker_lost"})
                self._shutdown.wait(backoff.next(began))
            finally:
                if broker is not None:
                    broker.close()

    def _acquire_name_lock(self) -> None:
        """Stand by until the lock is acquired. Raises Released, RegistrationRefused."""
        db = self._db
        if db is None or not self._options.exclusive:
            return
        backoff, trouble = Backoff(), LogThrottle()
        while True:
            try:
                with translate_errors():
                    if self._try_name_lock(db.connection()):
                        return
                self._wait_for_takeover(f"another session holds the name {self._options.name}")
            except DatabaseUnavailable as error:
                db.invalidate(error)
            except psycopg.DatabaseError as error:
                text = NO_TABLES if isinstance(error, MISSING_TABLE_ERRORS) else str(error)
                if trouble.is_due(text):
                    log.warning("%s", text, extra={"action": "database_refused"})
            if self._shutdown.wait(min(_STANDBY_S, backoff.next())):
                raise Released("the subscriber stops while another has its name")

    def _try_name_lock(self, conn: BoundedConnection) -> bool:
        return conn.execute(_SQL.lock_name, {"name": self._options.name}).fetchone() == (True,)

    def _consume(self, broker: BrokerConnection) -> HandlerThread:
        queue = self._options.queue
        if queue.exclusive:
            queue = copy(queue)
            queue.name = f"{queue.name}.{secrets.token_hex(4)}"
        broker.declare(self._app.topology)
        broker.declare(type(self._app.topology)(queues=(queue,)))
        broker.prefetch(self._options.prefetch)
        self._handler_stop.clear()
        handler = HandlerThread(queue.name, self._config, self._handler_stop, self._shutdown.wake)
        broker.subscribe(queue.name, handler.submit, exclusive=self._options.exclusive)
        return handler

    def _serve(self, broker: BrokerConnection, handler: HandlerThread) -> None:
        publisher = Publisher(broker) if self._db is None else None
        handler.start()
        try:
            while not self._shutdown.is_set():
                broker.wait(_TICK_S, [self._shutdown.wake])
                self._shutdown.wake.clear()
                self._acknowledge(broker, publisher, handler)
                if handler.failure is not None:
                    raise handler.failure
        finally:
            handler.stop()
            # The current event ends before the next connection, so that no event overtakes it.
            handler.join(_STOP_TIMEOUT_S if self._shutdown.is_set() else None)
        self._acknowledge(broker, publisher, handler)

    @staticmethod
    def _acknowledge(
        broker: BrokerConnection, publisher: Publisher | None, handler: HandlerThread
    ) -> None:
        processed = handler.take_processed()
        letters = [each.dead_letter.to_amqp() for each in processed if each.dead_letter is not None]
        if letters:
            assert publisher is not None
            if any(publisher.publish(letters)):
                raise BrokerUnavailable("RabbitMQ did not accept a dead letter")
        if processed:
            broker.ack(processed[-1].delivery_tag, multiple=True)

    # -- the lock on the name, on the handler's thread ------------------------------------

    def _on_connect(self, conn: BoundedConnection | None) -> None:
        """Acquire the lock again with each new database connection; report the first start.

        Raises NameLockLost when another subscriber acquired it first.
        """
        if conn is not None and self._options.exclusive:
            for _ in range(_LOCK_ATTEMPTS):
                if self._try_name_lock(conn):
                    break
                if self._handler_stop.wait(_LOCK_PAUSE_S):
                    raise Released("the subscriber stops while another has its name")
            else:
                raise NameLockLost(f"another session holds the name {self._options.name} now")
            self._register_queue(conn)
        self._is_standing_by = False
        if self._was_ready:
            return
        self._was_ready = True
        if self._options.on_ready is not None:
            self._options.on_ready()
        else:
            log.info("Subscribed to %s", self._options.queue.name, extra={"action": "subscribed"})

    def _renew_lease(self, conn: BoundedConnection) -> None:
        """Renew the lease of the lock's session. It covers one run of the handler."""
        if self._options.exclusive:
            lease = timedelta(seconds=self._options.time_limit + self._options.lease)
            conn.execute(_SQL.renew_lease, {"name": self._options.name, "lease": lease})

    def _register_queue(self, conn: BoundedConnection) -> None:
        """Register the durable queue for the relay, unless the topology has it."""
        queue = self._options.queue
        known = {each.name for each in self._app.topology.queues}
        if queue.durable and not queue.exclusive and queue.exchange and queue.name not in known:
            subscriptions.register(conn, self._options.name, queue)

    def _wait_for_takeover(self, reason: str) -> None:
        """Log once that another subscriber runs. Raises RegistrationRefused after the timeout."""
        waited, timeout = time.monotonic() - self._started_at, self._options.takeover_timeout
        name = self._options.name
        if not self._was_ready and waited > timeout:
            raise RegistrationRefused(f"A subscriber named {name!r} is already at work.")
        if not self._is_standing_by and (self._was_ready or timeout > Backoff.LONGEST_S):
            log_action(log.warning, "standing_by", f"Standing by: {reason}", {"name": name})
            self._is_standing_by = True
