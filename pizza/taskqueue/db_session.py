"""The database connection of one thread: reconnects when it breaks."""

import logging
import math
import time
from collections.abc import Callable

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.taskqueue.errors import Released
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.retry import Backoff

log = logging.getLogger(__name__)


class ReconnectingConnection:
    """A database connection that reconnects with back-off. One thread owns it.

    sleep: waits up to the given seconds; returns True to give up, because the owner has to stop.
    on_connect: called with each new connection before it is used.
    """

    def __init__(
        self,
        db_url: str,
        *,
        name: str,
        sleep: Callable[[float], bool],
        on_connect: Callable[[BoundedConnection], None] = lambda conn: None,
    ) -> None:
        self._db_url = db_url
        self._name = name
        self._sleep = sleep
        self._on_connect = on_connect
        self._conn: BoundedConnection | None = None
        self._backoff = Backoff()
        self._unavailable = False
        self._refused = False
        self._refused_at = -math.inf

    def connection(self) -> BoundedConnection:
        """The open connection. Waits with back-off while PostgreSQL is unavailable or refuses work.

        Raises Released when the owner has to stop first.
        """
        if self._refused:
            self._refused = False
            if self._sleep(self._backoff.next()):
                raise Released("the worker stops while the database refuses its work")
        if self._conn is not None and not self._conn.closed and self._refused_lately():
            return self._conn
        while self._conn is None or self._conn.closed:
            try:
                self._conn = self._open()
            except DatabaseUnavailable as error:
                self.invalidate(error)
                if self._sleep(self._backoff.next()):
                    raise Released("the worker stops while the database is away") from error
        if self._unavailable:
            self._unavailable = False
            log.info("PostgreSQL is back", extra={"action": "database_reconnected"})
        self._backoff.reset()
        return self._conn

    def _open(self) -> BoundedConnection:
        conn = connect(self._db_url, name=self._name)
        try:
            with translate_errors():
                self._on_connect(conn)
        except BaseException:
            conn.close()
            raise
        return conn

    def invalidate(self, error: DatabaseUnavailable | None = None) -> None:
        """Close the connection after `error`; the next call of `connection` reconnects.

        After a DatabaseTransientError the connection is kept, and the next call waits.
        """
        if isinstance(error, DatabaseTransientError):
            self._refused, self._refused_at = True, time.monotonic()
        else:
            self.close()
        if not self._unavailable:
            self._unavailable = True
            what = "PostgreSQL refuses" if self._refused else "PostgreSQL is away"
            text = f"{what}, trying again: {error or 'connection lost'}"
            log_action(log.warning, "database_lost", text)

    def _refused_lately(self) -> bool:
        """Whether the server refused work a moment ago; other statements may succeed meanwhile."""
        return time.monotonic() - self._refused_at <= Backoff.LONGEST_S

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None
