"""Handles the events of a subscriber one after the other, in a separate thread.

The subscriber's thread serves the broker connection meanwhile. A handler thread lasts as long as
one broker connection; RabbitMQ redelivers its unacknowledged events to the next one.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from pizza.database.connection import BoundedConnection
from pizza.taskqueue import trace
from pizza.taskqueue.dead_letters.headers import OutgoingDeadLetter
from pizza.taskqueue.errors import DuplicateEvent, PoisonMessage, Released
from pizza.taskqueue.lifecycle import Waker
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.subscriber.event import Event, OnCommit, parse_event
from pizza.taskqueue.subscriber.session import HandlerConfig, HandlerSession, NameLockLost

log = logging.getLogger(__name__)

# While idle, the thread checks its database connection this often.
_IDLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Processed:
    """A processed event. dead_letter: to be published before the acknowledgement."""

    delivery_tag: int
    dead_letter: OutgoingDeadLetter | None = None


class HandlerThread(threading.Thread):
    """Handles submitted messages in order, until `stop`.

    failure: the error that ended the thread, if any.
    """

    def __init__(
        self, queue: str, config: HandlerConfig, stop_event: threading.Event, waker: Waker
    ) -> None:
        """stop_event: set by `stop`. waker: set when a message was processed or the thread ends."""
        super().__init__(name=f"events of {queue}", daemon=True)
        self.failure: BaseException | None = None
        self._queue = queue
        self._config = config
        self._stop_event = stop_event
        self._waker = waker
        self._messages: SimpleQueue[Any] = SimpleQueue()
        self._processed: deque[Processed] = deque()
        self._session = HandlerSession(config, queue, self._wait) if config.db else None

    # -- called by the subscriber's thread ------------------------------------------------

    def submit(self, message: Any) -> None:
        """Queue a message of py-amqp."""
        self._messages.put(message)

    def stop(self) -> None:
        """Start no further event, and end waits for the database or a retry."""
        self._stop_event.set()
        self._messages.put(None)

    def take_processed(self) -> list[Processed]:
        """The messages processed since the last call, in order."""
        found = []
        while self._processed:
            found.append(self._processed.popleft())
        return found

    # -- the thread ----------------------------------------------------------------------

    def run(self) -> None:
        """Handle messages until `stop`."""
        try:
            if self._session is None:
                self._config.on_connect(None)
            else:
                self._session.connection()
            while (message := self._next_message()) is not None and not self._stop_event.is_set():
                self._processed.append(self._process(message))
                if len(self._processed) == 1:  # else the waker is still set
                    self._waker.set()
        except Released:
            pass  # stopped while it waited
        except BaseException as error:
            self.failure = error
        finally:
            self._waker.set()

    def _next_message(self) -> Any:
        """The next message; None at the end. Checks the database connection meanwhile."""
        session = self._session
        while session is not None:
            try:
                return self._messages.get(timeout=_IDLE_S)
            except Empty:
                session.check_connection()
        return self._messages.get()

    def _process(self, message: Any) -> Processed:
        delivery = Delivery.from_amqp(self._queue, message)
        with trace.following(delivery.headers.get(trace.HEADER)):
            try:
                event = parse_event(delivery, message.delivery_info)
            except PoisonMessage as poison:
                return self._dead_letter(delivery, None, str(poison))
            return self._process_event(delivery, event)

    def _process_event(self, delivery: Delivery, event: Event) -> Processed:
        while True:
            try:
                self._call_handler(event)
                return Processed(delivery.delivery_tag)
            except DuplicateEvent as duplicate:
                text = f"Duplicate dropped: {duplicate}"
                log_action(log.info, "event_skipped", text, _details(event))
                return Processed(delivery.delivery_tag)
            except (Released, NameLockLost):
                raise
            except PoisonMessage as poison:
                return self._dead_letter(delivery, event, str(poison))
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                if not self._config.retry.should_retry(event.attempt, error):
                    return self._dead_letter(delivery, event, reason, error)
                delay = self._config.retry.delay(event.attempt).total_seconds()
                text = f"Attempt {event.attempt} failed, next in {delay:.1f} s: {reason[:1000]}"
                log_action(log.warning, "event_retried", text, _details(event))
                self._wait(delay)
                event = replace(event, attempt=event.attempt + 1)

    def _call_handler(self, event: Event) -> None:
        on_commit: OnCommit | None = None

        def step(conn: BoundedConnection | None) -> None:
            nonlocal on_commit
            on_commit = self._config.handler(event, conn)

        self._run_step(step)
        if on_commit is not None:
            try:
                on_commit()
            except Exception:
                log.exception("After an event", extra={"action": "event_failed_late"})

    def _dead_letter(
        self, delivery: Delivery, event: Event | None, reason: str, cause: Exception | None = None
    ) -> Processed:
        """Dead-letter a delivery. With a database it is in the outbox when this returns.

        event: None for a delivery that could not be read.
        """
        attempt = event.attempt if event is not None else 1
        letter = OutgoingDeadLetter.from_delivery(delivery, reason, error=cause, attempt=attempt)

        def step(conn: BoundedConnection | None) -> None:
            if self._config.on_dead_letter is not None and event is not None:
                self._config.on_dead_letter(event, reason, conn)
            if conn is not None:
                letter.write_to_outbox(conn)

        backoff = Backoff()
        while True:
            try:
                self._run_step(step)
                break
            except (Released, NameLockLost):
                raise
            except Exception as error:  # the event must not be lost
                text = f"A dead letter cannot be written, trying again: {error}"
                log_action(log.error, "dead_letter_failed", text, {"queue": delivery.queue})
                self._wait(backoff.next())
        details = {"queue": delivery.queue, "message_id": delivery.message_id}
        text = f"Dead after attempt {attempt}: {reason[:1000]}"
        log_action(log.error, "event_dead", text, details, error=cause)
        return Processed(delivery.delivery_tag, letter if self._config.db is None else None)

    def _run_step(self, step: Callable[[BoundedConnection | None], None]) -> None:
        if self._session is None:
            step(None)
        else:
            self._session.run_step(step)

    def _wait(self, seconds: float) -> None:
        """Wait so many seconds. Raises Released when `stop` is called."""
        if self._stop_event.wait(seconds):
            raise Released("the subscriber stops")


def _details(event: Event) -> dict[str, Any]:
    return {"queue": event.delivery.queue, "message_id": event.id, "attempt": event.attempt}
