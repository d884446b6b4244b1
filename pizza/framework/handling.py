"""The working half of a subscriber: events one after the other, each to its end.

It has a thread of its own, so that the broker is listened to while a handler works or waits.
It lasts as long as one connection to the broker: what is left of its events when that ends
comes again with the next one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

import psycopg

from pizza import trace
from pizza.database.application import ApplicationError, application_block
from pizza.database.connection import BoundedConnection, available
from pizza.database.errors import DatabaseRefused, DatabaseUnavailable
from pizza.framework.epitaph import Letter, dead_letter
from pizza.framework.errors import (
    Duplicate,
    FrameworkError,
    HandedBack,
    PoisonMessage,
    TimeLimitExceeded,
)
from pizza.framework.event import Afterwards, Burial, Event, Handler, read
from pizza.framework.lifecycle import Wake, readable
from pizza.framework.line import Line
from pizza.framework.message import Ticket
from pizza.framework.retry import Backoff, Repeated, RetryPolicy

log = logging.getLogger(__name__)

# A table that is missing is most often one whose migration has not run yet.
MIGRATION_S = 60.0
# With no event in hand the loss of the database session is noticed within so long.
_IDLE_S = 0.5


class NameLost(FrameworkError):
    """Another subscriber of this name is at work now; this one handles nothing more."""


@dataclass(frozen=True, slots=True)
class Settled:
    """An event that is dealt with. letter: to be published before it is acknowledged."""

    delivery_tag: int
    letter: Letter | None = None


@dataclass(frozen=True, slots=True)
class Duties:
    """What stays the same from connection to connection.

    enter: called with each new database connection before anything else is done on it (None:
    there is no database), and may raise NameLost or HandedBack.
    time_limit: seconds that a handler may take with the database.
    """

    handler: Handler
    buried: Burial | None
    retry: RetryPolicy
    line: Line | None
    enter: Callable[[BoundedConnection | None], None]
    time_limit: float


class Handling(threading.Thread):
    """Handles what is `put`, in that order, until `end`.

    failure: what ended it against its will.
    """

    def __init__(self, queue: str, duties: Duties, over: threading.Event, wake: Wake) -> None:
        """over: set by `end`, cleared by who makes another; wake: set when something is done."""
        super().__init__(name=f"events of {queue}", daemon=True)
        self.failure: BaseException | None = None
        self._queue = queue
        self._duties = duties
        self._over = over
        self._wake = wake
        self._arrived: SimpleQueue[Any] = SimpleQueue()
        self._settled: deque[Settled] = deque()
        self._conn: BoundedConnection | None = None

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
            if self._duties.line is None:
                self._duties.enter(None)
            else:
                self._connection()
            while (message := self._next()) is not None and not self._over.is_set():
                self._settled.append(self._settle(message))
                if len(self._settled) == 1:  # else the other has been woken, and not looked yet
                    self._wake.set()
        except HandedBack:
            pass  # asked to end while it waited
        except BaseException as error:
            self.failure = error
        finally:
            self._wake.set()

    def _next(self) -> Any:
        """The next message; None at the end. Meanwhile the database session is looked after."""
        while True:
            try:
                return self._arrived.get(timeout=_IDLE_S if self._duties.line else None)
            except Empty:
                self._look_after_session()

    def _look_after_session(self) -> None:
        """Notice that an idle session has ended, and enter with another."""
        conn, line = self._conn, self._duties.line
        if conn is None or line is None or not (conn.closed or readable([conn], 0)):
            return
        try:
            with available():
                conn.execute("select 1")
        except DatabaseUnavailable as error:
            line.lost(error)
            self._connection()

    def _settle(self, message: Any) -> Settled:
        ticket, decode = read(self._queue, message)
        with trace.following(ticket.headers.get(trace.HEADER)):
            return self._settle_one(ticket, decode)

    def _settle_one(self, ticket: Ticket, decode: Callable[[], Event]) -> Settled:
        try:
            event = decode()
        except PoisonMessage as poison:
            return self._bury(ticket, None, str(poison), attempt=1)
        while True:
            try:
                self._handle(event)
                return Settled(ticket.delivery_tag)
            except Duplicate as duplicate:
                self._log(logging.INFO, "event_skipped", f"Duplicate dropped: {duplicate}", event)
                return Settled(ticket.delivery_tag)
            except (HandedBack, NameLost):
                raise
            except PoisonMessage as poison:
                return self._bury(ticket, event, str(poison), event.attempt)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                if not self._duties.retry.again(event.attempt, error):
                    return self._bury(ticket, event, reason, event.attempt, error)
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

        self._insist(step)
        if after is not None:
            try:
                after()
            except Exception:
                log.exception("After an event", extra={"action": "event_failed_late"})

    def _bury(
        self,
        ticket: Ticket,
        event: Event | None,
        reason: str,
        attempt: int,
        cause: Exception | None = None,
    ) -> Settled:
        """To the dead letters; with a database by way of its outbox, and nothing is left to do."""
        letter = dead_letter(ticket, reason, error=cause, attempt=attempt)

        def step(conn: BoundedConnection | None) -> None:
            if self._duties.buried is not None and event is not None:
                self._duties.buried(event, reason, conn)
            if conn is not None:
                letter.write(conn)

        backoff = Backoff()
        while True:
            try:
                self._insist(step)
                break
            except (HandedBack, NameLost):
                raise
            except Exception as error:  # nothing may be lost
                log.error(
                    "A dead letter cannot be written, trying again: %s", error,
                    extra={"action": "dead_letter_failed", "details": {"queue": ticket.queue}},
                )  # fmt: skip
                self._pause(backoff.next())
        log.error(
            "Dead after attempt %d: %s", attempt, reason[:1000], exc_info=cause,
            extra={
                "action": "event_dead",
                "details": {"queue": ticket.queue, "message_id": ticket.message_id},
            },
        )  # fmt: skip
        return Settled(ticket.delivery_tag, letter if self._duties.line is None else None)

    # -- the database --------------------------------------------------------------------

    def _insist(self, step: Callable[[BoundedConnection | None], None]) -> None:
        """Run a step in a transaction, again for as long as the server is away, or cannot serve.

        Raises what the step raises for reasons of its own, and TimeLimitExceeded.
        """
        line = self._duties.line
        if line is None:
            step(None)
            return
        backoff, trouble = Backoff(), Repeated()
        began = time.monotonic()
        while True:
            try:
                self._in_transaction(self._connection(), step)
                return
            except ApplicationError as raised:
                error = raised.error
                missing = isinstance(error, psycopg.errors.UndefinedTable)
                if not raised.outage and (not missing or time.monotonic() - began > MIGRATION_S):
                    raise error from error.__cause__
            except DatabaseUnavailable as unavailable:
                error = unavailable
            if isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseRefused):
                line.lost(error)
            elif trouble.is_due(error):
                log.log(
                    logging.WARNING if isinstance(error, DatabaseRefused) else logging.ERROR,
                    "PostgreSQL cannot do this now, trying again: %s", error,
                    extra={"action": "database_refused", "details": {"queue": self._queue}},
                )  # fmt: skip
            self._pause(backoff.next())

    def _in_transaction(
        self, conn: BoundedConnection, step: Callable[[BoundedConnection | None], None]
    ) -> None:
        """Raises ApplicationError, and DatabaseUnavailable for our own statements."""
        until = time.monotonic() + self._duties.time_limit
        try:
            with (
                available(),
                conn.transaction(),
                application_block(conn, until=until, conflicts=True),
            ):
                step(conn)
        except ApplicationError as raised:
            if raised.late and isinstance(raised.error, DatabaseUnavailable):
                conn.close()
                limit = f"{self._duties.time_limit:g} s"
                raise TimeLimitExceeded(f"the handler took longer than {limit}") from raised.error
            raise

    def _connection(self) -> BoundedConnection:
        line = self._duties.line
        assert line is not None
        backoff = Backoff()
        while True:
            conn = line.connection()
            if conn is self._conn:
                return conn
            try:
                with available():
                    self._duties.enter(conn)
            except DatabaseUnavailable as error:
                line.lost(error)
            except psycopg.DatabaseError as error:
                line.lost(DatabaseUnavailable(str(error)))
            else:
                self._conn = conn
                return conn
            self._pause(backoff.next())

    def _pause(self, seconds: float) -> None:
        """Wait. Raises HandedBack when it is over meanwhile."""
        if self._over.wait(seconds):
            raise HandedBack("the subscriber waits for nothing any more")

    @staticmethod
    def _log(level: int, action: str, text: str, event: Event) -> None:
        log.log(
            level, text,
            extra={
                "action": action,
                "details": {"queue": event.ticket.queue, "message_id": event.id,
                            "attempt": event.attempt},
            },
        )  # fmt: skip
