"""One open stream: a bounded queue of events between the hub and the client's thread.

The hub's thread enqueues changes and never waits. The thread that granian gives the response takes
them out, and sleeps in between. A client that reads too slowly is disconnected; it reconnects with
the id of the last event that it has received.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from pizza.changes.cursor import Cursor
from pizza.changes.storage import Change
from pizza.domain.status import ENDED
from pizza.web.streams import sse

PING_SECONDS = 15.0
# Events that wait for one client: some thousands, which is minutes of most kitchens.
MAX_BUFFERED_BYTES = 1_000_000
# An estimate is sent again once it has moved by 5 s and by a tenth of the time that is left.
_MIN_SHIFT = timedelta(seconds=5)
_MIN_SHIFT_SHARE = 0.1


class Stream:
    """The body of a streaming response: of one order (`number`), or of all orders (None).

    An event's id is the change's number in its order, or among all changes the cursor after it.
    """

    def __init__(
        self,
        number: str | None = None,
        *,
        status: str | None = None,
        include_private: bool = True,
        event_filter: Callable[[Change], bool] = lambda change: True,
        is_authorized: Callable[[], bool] | None = None,
        on_close: Callable[[Stream], None] = lambda stream: None,
    ) -> None:
        """Before `start` nothing is sent but the time after which to reconnect.

        status: of the order when the stream was opened. event_filter: which changes to send.
        is_authorized: whether the client may still read it, None if that does not change.
        on_close: called once.
        """
        self.number = number
        self._after = 0
        self._received: Cursor | None = None
        self._already_sent: frozenset[int] = frozenset()
        self._include_private = include_private
        self._event_filter = event_filter
        self.is_authorized = is_authorized
        self._on_close = on_close
        self._ready = threading.Condition()
        self._buffered: list[sse.EncodedChange] | None = []
        self._waiting: list[bytes] = [sse.RETRY]
        self._bytes = 0
        self._sent_estimate: datetime | None = None
        self._status = status
        self._complete = self._aborted = self._closed = False
        self._ping_at = time.monotonic() + PING_SECONDS

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for the client, or it is disconnected."""
        return not self._waiting or self._aborted

    def start(self, after: int, changes: Iterable[Change] = ()) -> None:
        """Start a stream of one order after its change number `after`.

        Sends `changes` first, then what was enqueued before.
        """
        with self._ready:
            buffered, self._buffered = self._buffered or [], None
            self._after = after
            self._append_changes([*map(sse.EncodedChange, changes), *buffered])

    def start_all(
        self, received: Cursor | None = None, already_sent: frozenset[int] = frozenset()
    ) -> None:
        """Start a stream of all orders with what was enqueued before.

        Leaves out what the client has received in an earlier stream (`received`), and the changes
        at the positions `already_sent`.
        """
        with self._ready:
            buffered, self._buffered = self._buffered or [], None
            self._received, self._already_sent = received, already_sent
            self._append_changes(buffered)

    def enqueue(self, changes: Iterable[sse.EncodedChange]) -> None:
        """Enqueue those of the changes that were not sent yet. Never blocks."""
        with self._ready:
            if self._buffered is None:
                self._append_changes(changes)
            else:
                self._buffered.extend(changes)

    def enqueue_estimate(self, encoded: sse.EncodedChange) -> None:
        """Enqueue an estimate, if it differs enough from the last one sent."""
        change = encoded.change
        moment = change.estimated_completion
        with self._ready:
            # It may have been read before the latest change was sent.
            if moment is None or self._buffered is not None or change.status != self._status:
                return
            sent = self._sent_estimate
            if sent is None or _has_shifted(sent, moment, change.changed_at):
                self._sent_estimate = moment
                self._append(encoded.event(None, include_private=self._include_private))
                self._ready.notify()

    def ping(self) -> None:
        """Send a ping at once, so that a lost connection is detected."""
        with self._ready:
            self._ping_at = 0.0
            self._ready.notify()

    def abort(self) -> None:
        """End the stream; what waits is not sent."""
        with self._ready:
            self._aborted = True
            self._ready.notify()

    def _append_changes(self, changes: Iterable[sse.EncodedChange]) -> None:
        for each in changes:
            id = self._next_sequence(each) if self.number else self._next_cursor(each)
            change = each.change
            if self._complete or id is None or not self._event_filter(change):
                continue
            self._append(each.event(id, include_private=self._include_private))
            self._sent_estimate, self._status = change.estimated_completion, change.status
            if self.number is not None and change.status in ENDED:
                self._append(sse.end(change))
                self._complete = True
        if self._bytes > MAX_BUFFERED_BYTES:
            self._aborted = True
        self._ready.notify()

    def _next_sequence(self, encoded: sse.EncodedChange) -> int | None:
        """The event id of a change of the order; None if it was sent before."""
        sequence = encoded.change.sequence
        if sequence is None or sequence <= self._after:
            return None
        self._after = sequence
        return sequence

    def _next_cursor(self, encoded: sse.EncodedChange) -> Cursor | None:
        """The event id of a change; None if it is not to be sent."""
        position, cursor = encoded.change.position, encoded.cursor
        if cursor is None or position in self._already_sent:
            return None
        if self._received is None:
            return cursor
        if self._received.received(position):
            return None
        both = self._received.union(cursor)
        if both == cursor:
            # The hub is now ahead of all that the client received in earlier streams.
            self._received = None
        return both

    def _append(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes += len(data)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        """The next events, or a ping. Blocks until there are any; called by the client's thread."""
        while True:
            with self._ready:
                if (data := self._next()) is not None:
                    return data
                if (left := self._ping_at - time.monotonic()) > 0:
                    self._ready.wait(left)
                    continue
                self._ping_at = time.monotonic() + PING_SECONDS
            return sse.PING

    def _next(self) -> bytes | None:
        if self._aborted:
            raise StopIteration
        if not self._waiting or (self._ping_at <= time.monotonic() and not self._complete):
            if self._complete:
                raise StopIteration
            return None
        data = b"".join(self._waiting)
        self._waiting, self._bytes = [], 0
        return data

    def close(self) -> None:
        """End the stream and call `on_close`. Called when the response ends."""
        with self._ready:
            self._aborted = True
            closed, self._closed = self._closed, True
            self._ready.notify()
        if not closed:
            self._on_close(self)


def _has_shifted(sent: datetime, moment: datetime, now: datetime) -> bool:
    return abs(moment - sent) > max(_MIN_SHIFT, (moment - now) * _MIN_SHIFT_SHARE)
