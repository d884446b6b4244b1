"""A subscriber: consumes the events of one queue, in order, each with its effect once.

Two threads. One owns the connection to the broker: it takes deliveries in, keeps the
heartbeat and acknowledges what is done; when the connection is lost it makes everything anew,
topology and consumer included. The other (`handling`) runs the handler on one event after the
other. An event that fails is held and tried again in its place, so that none overtakes it, and
goes to the dead letters with the reason when the policy is at its end.

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

from kombu import Queue

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.framework import kept
from pizza.framework.app import App
from pizza.framework.broker import HEARTBEAT_S, Broker
from pizza.framework.errors import BrokerUnavailable, HandedBack, QueueTaken, SessionRefused
from pizza.framework.event import Burial, Handler
from pizza.framework.handling import Duties, Handling
from pizza.framework.lifecycle import Stop
from pizza.framework.line import Line
from pizza.framework.publisher import Publisher
from pizza.framework.retry import Backoff, RetryPolicy

log = logging.getLogger(__name__)

_HOLD_NAME = Queries("subscriber").hold_name

_TICK_S = 1.0
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
        the database, and declared by the relay as well (pizza.framework.kept).
    patience: seconds that it waits for another of its name to go before it is refused (math.inf:
        it stands by).
    ready: called once, when it consumes for the first time; without it a line is logged.
    buried: told of each event that goes to the dead letters.
    """

    name: str
    queue: Queue
    prefetch: int = 50
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=5, base=0.2, cap=5.0))
    heartbeat: int = HEARTBEAT_S
    alone: bool = False
    patience: float = 2.0
    ready: Callable[[], None] | None = None
    buried: Burial | None = None


class Subscriber(threading.Thread):
    """Handles events in the background until `stop`; `service.serve` runs it as a process.

    db_url: None for a handler without a database; dead letters are then published by the
    subscriber itself, and the event is acknowledged when the broker has confirmed that.
    failure: what ended it against its will, SessionRefused among others.
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
        self._ending = Stop()
        self._over = threading.Event()
        self._line = Line(db_url, name=self._title, pause=self._over.wait) if db_url else None
        self._duties = Duties(handler, options.buried, options.retry, self._line, self._enter)
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

    def _subscribe_until_stopped(self) -> None:
        backoff, away = Backoff(), False
        while not self._ending.is_set():
            served_since = None
            broker = None
            try:
                broker = Broker(
                    self._broker_url, name=self._title, heartbeat=self._options.heartbeat
                )
                hands = self._consume(broker)
                served_since = time.monotonic()
                if away:
                    log.info("RabbitMQ is back", extra={"action": "broker_reconnected"})
                away = False
                self._serve(broker, hands)
            except QueueTaken as taken:
                self._wait_for_other(str(taken))
                self._ending.event.wait(backoff.next())
            except BrokerUnavailable as error:
                if not away:
                    log.warning("%s; trying again", error, extra={"action": "broker_lost"})
                away = True
                if served_since and time.monotonic() - served_since > Backoff.LONGEST_S:
                    backoff.reset()
                self._ending.event.wait(backoff.next())
            finally:
                if broker is not None:
                    broker.close()

    def _consume(self, broker: Broker) -> Handling:
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

    def _serve(self, broker: Broker, hands: Handling) -> None:
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
    def _acknowledge(broker: Broker, publisher: Publisher | None, hands: Handling) -> None:
        settled = hands.settled()
        letters = [each.letter.outgoing() for each in settled if each.letter is not None]
        if letters:
            assert publisher is not None
            if not all(publisher.publish(letters)):
                raise BrokerUnavailable("RabbitMQ took a dead letter nowhere")
        if settled:
            broker.ack(settled[-1].delivery_tag, multiple=True)

    # -- being let in --------------------------------------------------------------------

    def _enter(self, conn: BoundedConnection | None) -> None:
        """On the handler's thread, with each new database connection: be the only one of the name.

        The broker guards the queue, but knows nothing of a queue that was declared anew.
        """
        if conn is not None and self._options.alone:
            backoff = Backoff()
            while conn.execute(_HOLD_NAME, {"name": self._options.name}).fetchone() != (True,):
                self._wait_for_other(f"another session holds the name {self._options.name}")
                if self._over.wait(backoff.next()):
                    raise HandedBack("the subscriber stops while another has its name")
            self._keep(conn)
        self._waiting_for_other = False
        if self._been_ready:
            return
        self._been_ready = True
        if self._options.ready is not None:
            self._options.ready()
        else:
            log.info("Subscribed to %s", self._options.queue.name, extra={"action": "subscribed"})

    def _keep(self, conn: BoundedConnection) -> None:
        """Have the relay know of the queue, unless it belongs to the topology anyway."""
        queue = self._options.queue
        known = {each.name for each in self._app.topology.queues}
        if queue.durable and not queue.exclusive and queue.exchange and queue.name not in known:
            kept.keep(conn, self._options.name, queue)

    def _wait_for_other(self, reason: str) -> None:
        """Say once that another is at work. Raises SessionRefused when patience is at its end."""
        if not self._been_ready and time.monotonic() - self._began > self._options.patience:
            raise SessionRefused(f"A subscriber named {self._options.name!r} is already at work.")
        if not self._waiting_for_other and (
            self._been_ready or self._options.patience > Backoff.LONGEST_S
        ):
            log.warning(
                "Standing by: %s", reason,
                extra={"action": "standing_by", "details": {"name": self._options.name}},
            )  # fmt: skip
            self._waiting_for_other = True
