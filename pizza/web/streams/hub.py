"""Feeds all open streams of a process: one thread, one connection, one query for all of them.

It is there only while streams are. With the database away the streams stay open, and go on where
they were when it is back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from pizza.changes import storage
from pizza.changes.cursor import Cursor
from pizza.changes.feed import FollowedChange, Follower
from pizza.database.connection import BoundedConnection
from pizza.database.errors import DatabaseUnavailable
from pizza.orders.orders import ORDER_SERVICE
from pizza.web.streams.catch_up import CatchUp
from pizza.web.streams.sse import EncodedChange
from pizza.web.streams.stream import Stream

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
# Most gaps are those of a transaction that is just being committed.
_GAP_SECONDS = 0.02
_RETRY_SECONDS = 0.5
# A stream ends within a second of its key or session: what is known may be so old, and is looked at
# after so long, and a tick.
_AUTHORIZATION_SECONDS = 0.3
# As often as estimates are made anew.
_ESTIMATES_SECONDS = 2.0
_MOVED = "expected to be ready at another time"
# A page that is loaded anew leaves, and is back a moment later.
_LINGER_SECONDS = 5.0
# Between two rounds in which all streams are pinged because one was refused, at least.
_PING_SECONDS = 5.0
_PING_SLICE = 50
_QUERY_SECONDS = 5.0


class StreamHub:
    """The streams of this process, and what they are fed by."""

    def __init__(
        self,
        connect: Callable[[], BoundedConnection],
        refresh: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """connect: opens a connection of the hub's own; raises DatabaseUnavailable. refresh: has
        this process learn which keys and sessions count, if it learned it so many seconds ago.
        """
        self._connect, self._refresh = connect, refresh
        self._authorized_at = 0.0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._follower: Follower | None = None
        self._closed = False
        self._by_number: dict[str | None, set[Stream]] = defaultdict(set)
        # Up to where the streams have everything that is not in a gap.
        self._position = 0
        # Streams of all orders that were away, and have not got yet what they missed.
        self._catching_up: dict[Stream, CatchUp] = {}
        self._empty_since = 0.0
        self._estimates_at = 0.0
        self._pings: list[Stream] = []
        self._pinged_at = float("-inf")

    def subscribe(
        self, stream: Stream, conn: psycopg.Connection[Any], after: Cursor | None = None
    ) -> int:
        """Feed a stream with all that it has not been fed with; gives the position behind it.

        The stream has to begin after that. With `after` one of all orders has begun already: it is
        sent what that cursor has not received, be it long ago. conn: needed when nothing is
        followed yet. Raises DatabaseUnavailable.
        """
        fresh: Follower | None = None
        while (position := self._try_subscribe(stream, fresh, after)) is None:
            fresh = Follower.begin(conn)
        return position

    def _try_subscribe(
        self, stream: Stream, fresh: Follower | None, after: Cursor | None
    ) -> int | None:
        with self._lock:
            if self._follower is None:
                if fresh is None:
                    return None
                self._follower, self._position = fresh, fresh.position
                work = threading.Thread(target=self._run, args=(fresh,), name="stream-hub")
                work.daemon = True
                work.start()
            self._by_number[stream.number].add(stream)
            if after is not None:
                stream.begin_all(after)
                self._catching_up[stream] = CatchUp(after)
            if self._closed:
                stream.cut()
            return self._position

    def unsubscribe(self, stream: Stream) -> None:
        """Feed it no more."""
        with self._lock:
            self._catching_up.pop(stream, None)
            group = self._by_number[stream.number]
            group.discard(stream)
            if not group:
                del self._by_number[stream.number]
            self._empty_since = time.monotonic()

    def ping(self) -> None:
        """Have all streams look whether their clients are still there, soon and in slices.

        Returns at once; a call within _PING_SECONDS of the last one changes nothing. The hub's
        thread pings _PING_SLICE streams in each round, so that nobody can wake all of them at once
        by having streams refused.
        """
        with self._lock:
            now = time.monotonic()
            if self._pings or now - self._pinged_at < _PING_SECONDS:
                return
            self._pinged_at = now
            self._pings = [stream for group in self._by_number.values() for stream in group]

    def close(self) -> None:
        """End all streams at once, and those that are still to come."""
        self._closed = True
        for stream in self._all():
            stream.cut()
        self._wake.set()

    def _all(self) -> list[Stream]:
        with self._lock:
            return [stream for group in self._by_number.values() for stream in group]

    def _run(self, follower: Follower) -> None:
        conn: BoundedConnection | None = None
        away = False
        while not self._is_finished():
            self._end_unauthorized()
            try:
                if conn is None:
                    conn = self._open(follower)
                pause = self._poll(conn, follower)
                if away:
                    log.info("Streams go on", extra={"action": "streams_resumed"})
                away = False
            except Exception as error:
                if not away:
                    self._log_failure(error)
                away, pause = True, _RETRY_SECONDS
                _close(conn)
                conn = None
            self._ping_some()
            self._wake.wait(pause)
            self._wake.clear()
        _close(conn)

    def _end_unauthorized(self) -> None:
        """End the streams whose keys or sessions count no more. One statement for all of them."""
        if time.monotonic() < self._authorized_at:
            return
        limited = [(stream, stream.allowed) for stream in self._all() if stream.allowed]
        if limited:
            self._refresh(_AUTHORIZATION_SECONDS)
        for stream, allowed in limited:
            if not allowed():
                stream.cut()
        self._authorized_at = time.monotonic() + _AUTHORIZATION_SECONDS

    def _ping_some(self) -> None:
        with self._lock:
            now, self._pings = self._pings[:_PING_SLICE], self._pings[_PING_SLICE:]
        for stream in now:
            stream.ping()

    def _is_finished(self) -> bool:
        with self._lock:
            idle = not self._by_number
            patient = time.monotonic() - self._empty_since < _LINGER_SECONDS
            if self._closed or (idle and not patient):
                self._follower = None
                return True
            return False

    def _open(self, follower: Follower) -> BoundedConnection:
        conn = self._connect()
        conn.statement_timeout = _QUERY_SECONDS
        # Plans made while the tables are small are kept: none may read them whole.
        conn.execute("set enable_seqscan = off")
        follower.resume(conn)
        return conn

    def _poll(self, conn: BoundedConnection, follower: Follower) -> float:
        """Hand out what has come; gives how long to wait for more."""
        self._dispatch(follower.read(conn), follower.position)
        self._send_estimates(conn)
        more = self._catch_up(conn, follower)
        if follower.more:
            return 0.0
        return _GAP_SECONDS if follower.waits or more else TICK_SECONDS

    def _dispatch(self, changes: list[FollowedChange], position: int) -> None:
        if not changes:
            return
        of_number: dict[str | None, list[EncodedChange]] = defaultdict(list)
        of_number[None] = [EncodedChange(each.change, each.cursor) for each in changes]
        for each in of_number[None]:
            of_number[each.change.number].append(each)
        with self._lock:
            self._position = position
            told = [
                (stream, of_number[number])
                for number in self._by_number.keys() & of_number.keys()
                for stream in self._by_number[number] - self._catching_up.keys()
            ]
            behind = [*self._catching_up.items()]
        for stream, news in told:
            stream.offer(news)
        for stream, catching_up in behind:
            if late := catching_up.late(changes):
                stream.offer(late)

    def _catch_up(self, conn: BoundedConnection, follower: Follower) -> bool:
        """Give those that are behind their next page; whether any of them needs another."""
        with self._lock:
            behind = [(stream, each) for stream, each in self._catching_up.items() if stream.idle]
        more = False
        for stream, catching_up in behind:
            stream.offer(catching_up.page(conn, follower))
            if catching_up.more:
                more = True
                continue
            with self._lock:
                self._catching_up.pop(stream, None)
        return more

    def _send_estimates(self, conn: BoundedConnection) -> None:
        """Tell those who follow an order that waits when it will be ready, if that has moved."""
        if time.monotonic() < self._estimates_at:
            return
        self._estimates_at = time.monotonic() + _ESTIMATES_SECONDS
        with self._lock:
            groups = {number: list(group) for number, group in self._by_number.items() if number}
        if not groups:
            return
        for change in storage.estimates(conn, list(groups), ORDER_SERVICE, _MOVED):
            news = EncodedChange(change)
            for stream in groups[change.number]:
                stream.estimate(news)

    def _log_failure(self, error: Exception) -> None:
        if isinstance(error, DatabaseUnavailable):
            log.warning("Streams wait: %s", error, extra={"action": "database_unavailable"})
        else:
            log.error("Streams wait", exc_info=error, extra={"action": "streams_failed"})


def _close(conn: BoundedConnection | None) -> None:
    if conn is not None:
        with suppress(psycopg.Error):
            conn.close()
