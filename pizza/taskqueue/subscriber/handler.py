"""The working half of a subscriber: events one after the other, each to its end.

It has a thread of its own, so that the broker is listened to while a handler works or waits.
It lasts as long as one connection to the broker: what is left of its events when that ends
comes again with the next one.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from pizza.database.connection import BoundedConnection
from pizza.taskqueue import trace
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.dead_letters.headers import OutgoingDeadLetter
from pizza.taskqueue.errors import DuplicateEvent, PoisonMessage, Released
from pizza.taskqueue.lifecycle import Waker
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.retry import Backoff, RetryPolicy
from pizza.taskqueue.subscriber.event import Afterwards, Burial, Event, Handler, read
from pizza.taskqueue.subscriber.session import HandlerSession, NameLost

log = logging.getLogger(__name__)

# With no event in hand the loss of the database session is noticed within so long.
_IDLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Settled:
    """An event that is dealt with. letter: to be published before it is acknowledged."""

    delivery_tag: int
    letter: OutgoingDeadLetter | None = None


@dataclass(frozen=True, slots=True)
class Duties:
    """What stays the same from connection to connection.

    enter: called with each new database connection before anything else is done on it (None:
    there is no database), and may raise NameLost or Released. renew: called every few seconds
    after that, except while an event is handled.
    time_limit: seconds that a handler may take with the database.
    """

    handler: Handler
    buried: Burial | None
    retry: RetryPolicy
    line: ReconnectingConnection | None
    enter: Callable[[BoundedConnection | None], None]
    renew: Callable[[BoundedConnection], None]
    time_limit: float


class Handling(threading.Thread):
    """Handles what is `put`, in that order, until `end`.

    failure: what ended it against its will.
    """

    def __init__(self, queue: str, duties: Duties, over: threading.Event, wake: Waker) -> None:
        """over: set by `end`, cleared by who makes another; wake: set when something is done."""
        super().__init__(name=f"events of {queue}", daemon=True)
        self.failure: BaseException | None = None
        self._queue = queue
        self._duties = duties
        self._over = over
        self._wake = wake
        self._arrived: SimpleQueue[Any] = SimpleQueue()
        self._settled: deque[Settled] = deque()
        self._session = (
            HandlerSession(
                duties.line,
                duties.enter,
                duties.renew,
                self._pause,
                queue=queue,
                time_limit=duties.time_limit,
            )
            if duties.line is not None
            else None
        )

    # -- for the thread that listens to the broker ---------------------------------------

    def put(self, message: Any) -> None:
        """One more message, as py-amqp delivers it."""
        self._arrived.put(message)

    def end(self) -> None:
        """Begin no other event, and wait for nothing any more."""
        self._over.set()
        self._arrived.put(None)

    def settled(self) -> list[Settled]:
        """What was dealt with since the last call, in order."""
        found = []
        while self._settled:
            found.append(self._settled.popleft())
        return found

    # -- the thread ----------------------------------------------------------------------

    def run(self) -> None:
        """Work until `end`."""
        try:
            if self._session is None:
                self._duties.enter(None)
            else:
                self._session.connection()
            while (message := self._next()) is not None and not self._over.is_set():
                self._settled.append(self._settle(message))
                if len(self._settled) == 1:  # else the other has been woken, and not looked yet
                    self._wake.set()
        except Released:
            pass  # asked to end while it waited
        except BaseException as error:
            self.failure = error
        finally:
            self._wake.set()

    def _next(self) -> Any:
        """The next message; None at the end. Meanwhile the database session is looked after."""
        session = self._session
        while session is not None:
            try:
                return self._arrived.get(timeout=_IDLE_S)
            except Empty:
                session.look_after()
        return self._arrived.get()

    def _settle(self, message: Any) -> Settled:
        delivery, decode = read(self._queue, message)
        with trace.following(delivery.headers.get(trace.HEADER)):
            return self._settle_one(delivery, decode)

    def _settle_one(self, delivery: Delivery, decode: Callable[[], Event]) -> Settled:
        try:
            event = decode()
        except PoisonMessage as poison:
            return self._bury(delivery, None, str(poison), attempt=1)
        while True:
            try:
                self._handle(event)
                return Settled(delivery.delivery_tag)
            except DuplicateEvent as duplicate:
                self._log(logging.INFO, "event_skipped", f"Duplicate dropped: {duplicate}", event)
                return Settled(delivery.delivery_tag)
            except (Released, NameLost):
                raise
            except PoisonMessage as poison:
                return self._bury(delivery, event, str(poison), event.attempt)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                if not self._duties.retry.should_retry(event.attempt, error):
                    return self._bury(delivery, event, reason, event.attempt, error)
                delay = self._duties.retry.delay(event.attempt).total_seconds()
                self._log(
                    logging.WARNING, "event_retried",
                    f"Attempt {event.attempt} failed, next in {delay:.1f} s: {reason[:1000]}",
                    event,
                )  # fmt: skip
                self._pause(delay)
                event = replace(event, attempt=event.attempt + 1)

    def _handle(self, event: Event) -> None:
        after: Afterwards | None = None

        def step(conn: BoundedConnection | None) -> None:
            nonlocal after
            after = self._duties.handler(event, conn)

        self._run(step)
        if after is not None:
            try:
                after()
            except Exception:
                log.exception("After an event", extra={"action": "event_failed_late"})

    def _bury(
        self,
        delivery: Delivery,
        event: Event | None,
        reason: str,
        attempt: int,
        cause: Exception | None = None,
    ) -> Settled:
        """To the dead letters; with a database by way of its outbox, and nothing is left to do."""
        letter = OutgoingDeadLetter.from_delivery(delivery, reason, error=cause, attempt=attempt)

        def step(conn: BoundedConnection | None) -> None:
            if self._duties.buried is not None and event is not None:
                self._duties.buried(event, reason, conn)
            if conn is not None:
                letter.write_to_outbox(conn)

        backoff = Backoff()
        while True:
            try:
                self._run(step)
                break
            except (Released, NameLost):
                raise
            except Exception as error:  # nothing may be lost
                log.error(
                    "A dead letter cannot be written, trying again: %s", error,
                    extra={"action": "dead_letter_failed", "details": {"queue": delivery.queue}},
                )  # fmt: skip
                self._pause(backoff.next())
        log.error(
            "Dead after attempt %d: %s", attempt, reason[:1000], exc_info=cause,
            extra={
                "action": "event_dead",
                "details": {"queue": delivery.queue, "message_id": delivery.message_id},
            },
        )  # fmt: skip
        return Settled(delivery.delivery_tag, letter if self._duties.line is None else None)

    def _run(self, step: Callable[[BoundedConnection | None], None]) -> None:
        if self._session is None:
            step(None)
        else:
            self._session.run(step)

    def _pause(self, seconds: float) -> None:
        """Wait. Raises Released when it is over meanwhile."""
        if self._over.wait(seconds):
            raise Released("the subscriber waits for nothing any more")

    @staticmethod
    def _log(level: int, action: str, text: str, event: Event) -> None:
        log.log(
            level, text,
            extra={
                "action": action,
                "details": {"queue": event.delivery.queue, "message_id": event.id,
                            "attempt": event.attempt},
            },
        )  # fmt: skip
