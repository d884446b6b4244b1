"""Sends changes to all open streams of a process, with one thread, connection and query for all.

The thread runs only while there are streams. While the database is unavailable the streams stay
open; afterwards they continue where they were.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

import psycopg

from pizza.changes import storage
from pizza.changes.cursor import Cursor
from pizza.changes.feed import ChangeFeed, FeedEntry
from pizza.database.connection import BoundedConnection, Connection
from pizza.database.errors import DatabaseUnavailable
from pizza.orders.orders import ORDER_SERVICE
from pizza.web.streams.catch_up import CatchUp
from pizza.web.streams.sse import EncodedChange
from pizza.web.streams.stream import Stream

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
# Most gaps belong to a transaction that is just being committed.
_GAP_SECONDS = 0.02
_RETRY_SECONDS = 0.5
# A stream ends within a second of its key or session: credentials are checked this often, and what
# is known of them may be this old.
_AUTHORIZATION_SECONDS = 0.3
# How often estimates are computed.
_ESTIMATES_SECONDS = 2.0
_ESTIMATE_NOTE = "expected to be ready at another time"
# A page that is reloaded disconnects and reconnects a moment later.
_LINGER_SECONDS = 5.0
# At least this long between two rounds of pings that a refused stream has caused.
_PING_SECONDS = 5.0
_PING_SLICE = 50
_QUERY_SECONDS = 5.0


class StreamHub:
    """The open streams of this process, and the thread that reads changes for them. Thread-safe."""

    def __init__(
        self,
        connect: Callable[[], BoundedConnection],
        refresh: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """connect: opens the hub's connection; raises DatabaseUnavailable.

        refresh: reads which keys and sessions are valid, unless it has within so many seconds.
        """
        self._connect, self._refresh = connect, refresh
        self._authorized_at = 0.0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._feed: ChangeFeed | None = None
        self._closed = False
        self._by_number: dict[str | None, set[Stream]] = defaultdict(set)
        # The streams have everything up to here, but for what is in a gap.
        self._position = 0
        # Streams of all orders that have not yet received what they missed.
        self._catching_up: dict[Stream, CatchUp] = {}
        self._empty_since = 0.0
        self._estimates_at = 0.0
        self._pings: list[Stream] = []
        self._pinged_at = float("-inf")

    def subscribe(self, stream: Stream, conn: Connection, after: Cursor | None = None) -> int:
        """Send all later changes to a stream; return the position after which they begin.

        The caller starts the stream at that position. With `after` a stream of all orders is
        started here: it receives what that cursor has not received. conn: used if the hub's thread
        does not run yet. Raises DatabaseUnavailable.
        """
        fresh: ChangeFeed | None = None
        while (position := self._try_subscribe(stream, fresh, after)) is None:
            fresh = ChangeFeed.start_now(conn)
        return position

    def _try_subscribe(
        self, stream: Stream, fresh: ChangeFeed | None, after: Cursor | None
    ) -> int | None:
        with self._lock:
            if self._feed is None:
                if fresh is None:
                    return None
                self._feed, self._position = fresh, fresh.position
                threading.Thread(
                    target=self._run, args=(fresh,), name="stream-hub", daemon=True
                ).start()
            self._by_number[stream.number].add(stream)
            if after is not None:
                stream.start_all(after)
                self._catching_up[stream] = CatchUp(after)
            if self._closed:
                stream.abort()
            return self._position

    def unsubscribe(self, stream: Stream) -> None:
        """Send no more changes to a stream."""
        with self._lock:
            self._catching_up.pop(stream, None)
            group = self._by_number[stream.number]
            group.discard(stream)
            if not group:
                del self._by_number[stream.number]
            self._empty_since = time.monotonic()

    def ping(self) -> None:
        """Have the hub's thread ping all streams, to detect lost clients.

        Returns at once; a call within _PING_SECONDS of the last one has no effect. The thread pings
        _PING_SLICE streams in each round, so refused requests cannot wake all streams at once.
        """
        with self._lock:
            now = time.monotonic()
            if self._pings or now - self._pinged_at < _PING_SECONDS:
                return
            self._pinged_at = now
            self._pings = [stream for group in self._by_number.values() for stream in group]

    def close(self) -> None:
        """End all streams at once, and each that subscribes later."""
        self._closed = True
        for stream in self._all():
            stream.abort()
        self._wake.set()

    def _all(self) -> list[Stream]:
        with self._lock:
            return [stream for group in self._by_number.values() for stream in group]

    def _run(self, feed: ChangeFeed) -> None:
        conn: BoundedConnection | None = None
        suspended = False
        while not self._is_finished():
            self._end_unauthorized()
            try:
                if conn is None:
                    conn = self._open(feed)
                pause = self._poll(conn, feed)
                if suspended:
                    log.info("Streams continue", extra={"action": "streams_recovered"})
                suspended = False
            except Exception as error:
                if not suspended:
                    self._log_failure(error)
                suspended, pause = True, _RETRY_SECONDS
                _close(conn)
                conn = None
            self._ping_slice()
            self._wake.wait(pause)
            self._wake.clear()
        _close(conn)

    def _end_unauthorized(self) -> None:
        """End the streams whose keys or sessions are no longer valid; one statement for all."""
        if time.monotonic() < self._authorized_at:
            return
        limited = [(stream, stream.is_authorized) for stream in self._all() if stream.is_authorized]
        if limited:
            self._refresh(_AUTHORIZATION_SECONDS)
        for stream, is_authorized in limited:
            if not is_authorized():
                stream.abort()
        self._authorized_at = time.monotonic() + _AUTHORIZATION_SECONDS

    def _ping_slice(self) -> None:
        with self._lock:
            now, self._pings = self._pings[:_PING_SLICE], self._pings[_PING_SLICE:]
        for stream in now:
            stream.ping()

    def _is_finished(self) -> bool:
        with self._lock:
            idle = not self._by_number
            lingers = time.monotonic() - self._empty_since < _LINGER_SECONDS
            if self._closed or (idle and not lingers):
                self._feed = None
                return True
            return False

    def _open(self, feed: ChangeFeed) -> BoundedConnection:
        conn = self._connect()
        conn.statement_timeout = _QUERY_SECONDS
        # Plans made while the tables are small are kept, so none may scan a whole table.
        conn.execute("set enable_seqscan = off")
        feed.rewind(conn)
        return conn

    def _poll(self, conn: BoundedConnection, feed: ChangeFeed) -> float:
        """Read and send what is new; return the seconds until the next poll."""
        self._dispatch(feed.read(conn), feed.position)
        self._send_estimates(conn)
        more = self._catch_up(conn, feed)
        if feed.more:
            return 0.0
        return _GAP_SECONDS if feed.waits or more else TICK_SECONDS

    def _dispatch(self, changes: list[FeedEntry], position: int) -> None:
        if not changes:
            return
        by_number: dict[str | None, list[EncodedChange]] = defaultdict(list)
        by_number[None] = [EncodedChange(each.change, each.cursor) for each in changes]
        for each in by_number[None]:
            by_number[each.change.number].append(each)
        with self._lock:
            self._position = position
            recipients = [
                (stream, by_number[number])
                for number in self._by_number.keys() & by_number.keys()
                for stream in self._by_number[number] - self._catching_up.keys()
            ]
            behind = [*self._catching_up.items()]
        for stream, found in recipients:
            stream.enqueue(found)
        for stream, catching_up in behind:
            if late := catching_up.select_late(changes):
                stream.enqueue(late)

    def _catch_up(self, conn: BoundedConnection, feed: ChangeFeed) -> bool:
        """Send the next page to each stream that catches up; return whether any needs another."""
        with self._lock:
            behind = [
                (stream, each) for stream, each in self._catching_up.items() if stream.is_idle
            ]
        more = False
        for stream, catching_up in behind:
            stream.enqueue(catching_up.read_page(conn, feed))
            if catching_up.has_more:
                more = True
                continue
            with self._lock:
                self._catching_up.pop(stream, None)
        return more

    def _send_estimates(self, conn: BoundedConnection) -> None:
        """Send new estimates to the streams of orders that wait, if they have moved."""
        if time.monotonic() < self._estimates_at:
            return
        self._estimates_at = time.monotonic() + _ESTIMATES_SECONDS
        with self._lock:
            groups = {number: list(group) for number, group in self._by_number.items() if number}
        if not groups:
            return
        for change in storage.estimate_changes(conn, list(groups), ORDER_SERVICE, _ESTIMATE_NOTE):
            encoded = EncodedChange(change)
            for stream in groups[change.number]:
                stream.enqueue_estimate(encoded)

    def _log_failure(self, error: Exception) -> None:
        if isinstance(error, DatabaseUnavailable):
            log.warning(
                "Streams are suspended: %s", error, extra={"action": "database_unavailable"}
            )
        else:
            log.error("Streams are suspended", exc_info=error, extra={"action": "streams_failed"})


def _close(conn: BoundedConnection | None) -> None:
    if conn is not None:
        with suppress(psycopg.Error):
            conn.close()
