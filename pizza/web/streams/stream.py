"""One open stream: what is to be sent waits in it, in bounds, for the thread of its client.

The hub's thread puts changes in and never waits; the thread that granian lends the stream takes
them out, and sleeps in between. A client that takes too little is cut off, and comes again with the
id of the last event it has.
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
# As much as may wait for a client: some thousands of events, minutes of most kitchens.
MOST_BYTES = 1_000_000
# An estimate is told anew when it has moved by so much, and by a tenth of the wait that is left.
_MOVED = timedelta(seconds=5)
_MOVED_SHARE = 0.1


class Stream:
    """The body of an answer that goes on: of one order (`number`), or of all (None).

    An event's id is the change's number in its order, or among all changes the cursor after it.
    """

    def __init__(
        self,
        number: str | None = None,
        *,
        status: str | None = None,
        include_private: bool = True,
        wanted: Callable[[Change], bool] = lambda change: True,
        allowed: Callable[[], bool] | None = None,
        on_close: Callable[[Stream], None] = lambda stream: None,
    ) -> None:
        """Nothing is sent before `begin`, but how soon to come again.

        status: of the order, as its client knows it; wanted: which changes; allowed: whether its
        client still has the right to it (None: for ever); on_close: called once.
        """
        self.number = number
        self._after = 0
        self._received: Cursor | None = None
        self._known: frozenset[int] = frozenset()
        self._include_private, self._wanted, self.allowed = include_private, wanted, allowed
        self._on_close = on_close
        self._ready = threading.Condition()
        self._early: list[sse.EncodedChange] | None = []
        self._waiting: list[bytes] = [sse.RETRY]
        self._bytes = 0
        self._told: datetime | None = None
        self._status = status
        self._complete = self._cut = self._closed = False
        self._ping_at = time.monotonic() + PING_SECONDS

    @property
    def idle(self) -> bool:
        """Whether its client has taken everything, or will take nothing more."""
        return not self._waiting or self._cut

    def begin(self, after: int, changes: Iterable[Change] = ()) -> None:
        """Start one of an order behind its `after`th change, with these; then what was offered."""
        with self._ready:
            early, self._early = self._early or [], None
            self._after = after
            self._take([*map(sse.EncodedChange, changes), *early])

    def begin_all(
        self, received: Cursor | None = None, known: frozenset[int] = frozenset()
    ) -> None:
        """Start one of all orders with what was offered, less what its client has or knows.

        received: from an earlier stream; known: positions of what is not to be sent either.
        """
        with self._ready:
            early, self._early = self._early or [], None
            self._received, self._known = received, known
            self._take(early)

    def offer(self, news: Iterable[sse.EncodedChange]) -> None:
        """Send the changes that it has not sent. Never waits."""
        with self._ready:
            if self._early is None:
                self._take(news)
            else:
                self._early.extend(news)

    def estimate(self, news: sse.EncodedChange) -> None:
        """Tell of an estimate, if it is far from the one that was told last."""
        moment = news.change.estimated_completion
        with self._ready:
            # It may have been read before the latest change was sent.
            if moment is None or self._early is not None or news.change.status != self._status:
                return
            if self._told is None or _has_moved(self._told, moment, news.change.changed_at):
                self._told = moment
                self._put(news.event(None, include_private=self._include_private))
                self._ready.notify()

    def ping(self) -> None:
        """Send a sign of life at once: it ends if nobody hears it."""
        with self._ready:
            self._ping_at = 0.0
            self._ready.notify()

    def cut(self) -> None:
        """Send nothing more, not even what waits."""
        with self._ready:
            self._cut = True
            self._ready.notify()

    def _take(self, news: Iterable[sse.EncodedChange]) -> None:
        for each in news:
            id = self._next_of_order(each) if self.number else self._next_of_all(each)
            change = each.change
            if self._complete or id is None or not self._wanted(change):
                continue
            self._put(each.event(id, include_private=self._include_private))
            self._told, self._status = change.estimated_completion, change.status
            if self.number is not None and change.status in ENDED:
                self._put(sse.end(change))
                self._complete = True
        if self._bytes > MOST_BYTES:
            self._cut = True
        self._ready.notify()

    def _next_of_order(self, news: sse.EncodedChange) -> int | None:
        """The id with which to send a change of the order; None if it was sent."""
        sequence = news.change.sequence
        if sequence is None or sequence <= self._after:
            return None
        self._after = sequence
        return sequence

    def _next_of_all(self, news: sse.EncodedChange) -> Cursor | None:
        """The id with which to send a change; None if the client has it or knows it."""
        position, cursor = news.change.position, news.cursor
        if cursor is None or position in self._known:
            return None
        if self._received is None:
            return cursor
        if self._received.received(position):
            return None
        both = self._received.union(cursor)
        if both == cursor:
            # From here on the hub is ahead of all that the client has from earlier streams.
            self._received = None
        return both

    def _put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes += len(data)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        """What there is; waits for it, and for the next ping at most."""
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
        if self._cut:
            raise StopIteration
        if not self._waiting or (self._ping_at <= time.monotonic() and not self._complete):
            if self._complete:
                raise StopIteration
            return None
        data = b"".join(self._waiting)
        self._waiting, self._bytes = [], 0
        return data

    def close(self) -> None:
        """The client is gone, or all was sent."""
        with self._ready:
            self._cut = True
            closed, self._closed = self._closed, True
            self._ready.notify()
        if not closed:
            self._on_close(self)


def _has_moved(told: datetime, moment: datetime, now: datetime) -> bool:
    return abs(moment - told) > max(_MOVED, (moment - now) * _MOVED_SHARE)
