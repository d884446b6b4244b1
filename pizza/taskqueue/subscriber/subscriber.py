"""A subscriber: consumes the events of one queue, in order, each with its effect once.

Two threads. One owns the connection to the broker: it takes deliveries in, keeps the
heartbeat and acknowledges what is done; when the connection is lost it makes everything anew,
topology and consumer included. The other (`handling`) runs the handler on one event after the
other. Where a subscriber has to be the only one of its name, one lock decides, which belongs to its
database session: it is taken before anything is consumed, and a subscriber that has lost it stops
consuming. Its consumer is exclusive too, so the next one begins once the events that the former had
in hand are back in their places. An event that fails is held and tried again in its place, so that
none overtakes it, and goes to the dead letters with the reason when the policy is at its end.

What is not acknowledged comes again, after a crash as after a lost connection: it is for the
handler to tell an event that it has seen before (see `Handler`).
"""

from __future__ import annotations

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
from pizza.taskqueue.outbox import subscriptions
from pizza.taskqueue.retry import Backoff, Repeated, RetryPolicy
from pizza.taskqueue.subscriber.event import Burial, Handler
from pizza.taskqueue.subscriber.handler import Duties, Handling
from pizza.taskqueue.subscriber.session import NameLost
from pizza.taskqueue.worker.session import MISSING_TABLES, NO_TABLES

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/subscriber")

_TICK_S = 1.0
# A subscriber that stands by takes over within so long.
_STANDBY_S = 0.5
# A former session of our own may need a moment to end.
_LOCK_TRIES, _LOCK_PAUSE_S = 10, 0.1
# How long a stop waits for the event in hand.
_LAST_EVENT_S = 1.0


@dataclass(frozen=True, slots=True)
class SubscriberOptions:
    """name: for logs, connections and, with `alone`, the claim to be the only one.

    queue: with its bindings, declared at each connection. A durable one is kept while the
        subscriber is away. An exclusive one gets a suffix of its own for each connection, since
        the broker may not have noticed yet that the last one is gone.
    prefetch: events that may lie in the subscriber's hands; retry: for those that fail.
    alone: let no other subscriber of this name be at work; its durable queue is then known to
        the database, and declared by the relay as well (pizza.taskqueue.outbox.subscriptions).
    patience: seconds that it waits for another of its name to go before it is refused (math.inf:
        it stands by).
    time_limit: seconds that one run of the handler may take with the database.
    lease: seconds. A frozen subscriber that is `alone` loses its name after time_limit + lease.
    ready: called once, when it consumes for the first time; without it a line is logged.
    buried: told of each event that goes to the dead letters.
    """

    name: str
    queue: Queue
    prefetch: int = 50
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(max_attempts=5, initial_delay=0.2, max_delay=5.0)
    )
    heartbeat: int = HEARTBEAT_S
    alone: bool = False
    patience: float = 2.0
    time_limit: float = 60.0
    lease: float = 15.0
    ready: Callable[[], None] | None = None
    buried: Burial | None = None


class Subscriber(threading.Thread):
    """Handles events in the background until `stop`; `service.serve` runs it as a process.

    db_url: None for a handler without a database; dead letters are then published by the
    subscriber itself, and the event is acknowledged when the broker has confirmed that.
    failure: what ended it against its will, RegistrationRefused among others.
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
        self._ending = Shutdown()
        self._over = threading.Event()
        self._line = (
            ReconnectingConnection(db_url, name=self._title, sleep=self._pause) if db_url else None
        )
        self._duties = Duties(
            handler, options.buried, options.retry, self._line, self._enter, self._renew,
            options.time_limit,
        )  # fmt: skip
        self._began = time.monotonic()
        self._been_ready = False
        self._waiting_for_other = False

    def stop(self, timeout: float) -> None:
        """Stop; what is not done goes back to the queue. Waits up to `timeout` seconds."""
        self._ending.set()
        if self.is_alive():
            self.join(timeout)

    # -- the broker's thread -------------------------------------------------------------

    def run(self) -> None:
        """Consume, come back whenever the broker does: until `stop`."""
        self._began = time.monotonic()
        try:
            self._subscribe_until_stopped()
        except BaseException as error:
            self.failure = error
        finally:
            if self._line is not None:
                self._line.close()

    def _pause(self, seconds: float) -> bool:
        """For the database connection: wait, and say whether to give up."""
        if threading.current_thread() is self:
            return self._ending.wait(seconds)
        return self._over.wait(seconds)

    def _subscribe_until_stopped(self) -> None:
        backoff, trouble = Backoff(), Repeated()
        while not self._ending.is_set():
            began = time.monotonic()
            broker = None
            try:
                self._hold_name()
                broker = BrokerConnection(
                    self._broker_url, name=self._title, heartbeat=self._options.heartbeat
                )
                hands = self._consume(broker)
                if trouble.is_over():
                    log.info("RabbitMQ is back", extra={"action": "broker_reconnected"})
                self._serve(broker, hands)
            except Released:
                return  # asked to stop while it stood by
            except NameLost as lost:
                log.warning("%s", lost, extra={"action": "subscriber_deposed"})
                if self._line is not None:
                    self._line.close()
            except QueueInUse as taken:
                self._wait_for_other(str(taken))
                self._ending.wait(min(_STANDBY_S, backoff.next()))
            except BrokerUnavailable as error:
                if trouble.is_due(error):
                    log.warning("%s; trying again", error, extra={"action": "broker_lost"})
                if time.monotonic() - began > Backoff.LONGEST_S:
                    backoff.reset()
                self._ending.wait(backoff.next())
            finally:
                if broker is not None:
                    broker.close()

    def _hold_name(self) -> None:
        """Stand by until the lock on the name is ours. Raises Released, RegistrationRefused."""
        line = self._line
        if line is None or not self._options.alone:
            return
        backoff, trouble = Backoff(), Repeated()
        while True:
            try:
                with translate_errors():
                    if self._try_lock(line.connection()):
                        return
                self._wait_for_other(f"another session holds the name {self._options.name}")
            except DatabaseUnavailable as error:
                line.invalidate(error)
            except psycopg.DatabaseError as error:
                missing = isinstance(error, MISSING_TABLES)
                text = NO_TABLES if missing else str(error)
                if trouble.is_due(text):
                    log.warning("%s", text, extra={"action": "database_refused"})
            if self._ending.wait(min(_STANDBY_S, backoff.next())):
                raise Released("the subscriber stops while another has its name")

    def _try_lock(self, conn: BoundedConnection) -> bool:
        return conn.execute(_SQL.lock_name, {"name": self._options.name}).fetchone() == (True,)

    def _consume(self, broker: BrokerConnection) -> Handling:
        queue = self._options.queue
        if queue.exclusive:
            queue = copy(queue)
            queue.name = f"{queue.name}.{secrets.token_hex(4)}"
        broker.declare(self._app.topology)
        broker.declare(type(self._app.topology)(queues=(queue,)))
        broker.prefetch(self._options.prefetch)
        self._over.clear()
        hands = Handling(queue.name, self._duties, self._over, self._ending.wake)
        broker.subscribe(queue.name, hands.put, exclusive=self._options.alone)
        return hands

    def _serve(self, broker: BrokerConnection, hands: Handling) -> None:
        publisher = Publisher(broker) if self._line is None else None
        hands.start()
        try:
            while not self._ending.is_set():
                broker.wait(_TICK_S, [self._ending.wake])
                self._ending.wake.clear()
                self._acknowledge(broker, publisher, hands)
                if hands.failure is not None:
                    raise hands.failure
        finally:
            hands.end()
            # The event in hand ends before the next connection, so that none overtakes it.
            hands.join(_LAST_EVENT_S if self._ending.is_set() else None)
        self._acknowledge(broker, publisher, hands)

    @staticmethod
    def _acknowledge(
        broker: BrokerConnection, publisher: Publisher | None, hands: Handling
    ) -> None:
        settled = hands.settled()
        letters = [each.letter.to_amqp() for each in settled if each.letter is not None]
        if letters:
            assert publisher is not None
            if any(publisher.publish(letters)):
                raise BrokerUnavailable("RabbitMQ took a dead letter nowhere")
        if settled:
            broker.ack(settled[-1].delivery_tag, multiple=True)

    # -- being let in --------------------------------------------------------------------

    def _enter(self, conn: BoundedConnection | None) -> None:
        """On the handler's thread, with each new database connection.

        Raises NameLost when the lock went with the former connection and another has it now.
        """
        if conn is not None and self._options.alone:
            for _ in range(_LOCK_TRIES):
                if self._try_lock(conn):
                    break
                if self._over.wait(_LOCK_PAUSE_S):
                    raise Released("the subscriber stops while another has its name")
            else:
                raise NameLost(f"another session holds the name {self._options.name} now")
            self._keep(conn)
        self._waiting_for_other = False
        if self._been_ready:
            return
        self._been_ready = True
        if self._options.ready is not None:
            self._options.ready()
        else:
            log.info("Subscribed to %s", self._options.queue.name, extra={"action": "subscribed"})

    def _renew(self, conn: BoundedConnection) -> None:
        """Renew the lease on the name. It covers one run of the handler."""
        if self._options.alone:
            lease = timedelta(seconds=self._options.time_limit + self._options.lease)
            conn.execute(_SQL.renew_lease, {"name": self._options.name, "lease": lease})

    def _keep(self, conn: BoundedConnection) -> None:
        """Have the relay know of the queue, unless it belongs to the topology anyway."""
        queue = self._options.queue
        known = {each.name for each in self._app.topology.queues}
        if queue.durable and not queue.exclusive and queue.exchange and queue.name not in known:
            subscriptions.register(conn, self._options.name, queue)

    def _wait_for_other(self, reason: str) -> None:
        """Log once that another is at work. Raises RegistrationRefused after `patience`."""
        if not self._been_ready and time.monotonic() - self._began > self._options.patience:
            raise RegistrationRefused(
                f"A subscriber named {self._options.name!r} is already at work."
            )
        if not self._waiting_for_other and (
            self._been_ready or self._options.patience > Backoff.LONGEST_S
        ):
            log.warning(
                "Standing by: %s", reason,
                extra={"action": "standing_by", "details": {"name": self._options.name}},
            )  # fmt: skip
            self._waiting_for_other = True
