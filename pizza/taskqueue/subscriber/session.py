"""The database session of the thread that handles events, and the transactions of their handler."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import psycopg

from pizza.database.application import ApplicationError, application_block
from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import FrameworkError, TimeLimitExceeded
from pizza.taskqueue.lifecycle import wait_readable
from pizza.taskqueue.retry import Backoff, Repeated

log = logging.getLogger(__name__)

# A table that is missing is most often one whose migration has not run yet.
MIGRATION_S = 60.0
RENEWAL_S = 3.0


class NameLost(FrameworkError):
    """Another subscriber of this name is at work now; this one handles nothing more."""


class HandlerSession:
    """Owned by the thread that handles events."""

    def __init__(
        self,
        line: ReconnectingConnection,
        enter: Callable[[BoundedConnection], None],
        renew: Callable[[BoundedConnection], None],
        pause: Callable[[float], None],
        *,
        queue: str,
        time_limit: float,
    ) -> None:
        """enter: called with each new connection before anything else is done on it.

        renew: called after that, and about every RENEWAL_S between two steps.
        pause: waits so many seconds; raises Released when the subscriber ends meanwhile.
        queue: for logs. time_limit: seconds that one run of a step may take.
        """
        self._line = line
        self._enter = enter
        self._renew = renew
        self._renew_at = 0.0
        self._pause = pause
        self._queue = queue
        self._time_limit = time_limit
        self._conn: BoundedConnection | None = None

    def connection(self) -> BoundedConnection:
        """The open connection; waits while the server is away. Raises what `enter` raises."""
        backoff = Backoff()
        while True:
            conn = self._line.connection()
            if conn is self._conn and time.monotonic() < self._renew_at:
                return conn
            try:
                with translate_errors():
                    if conn is not self._conn:
                        self._enter(conn)
                    self._renew(conn)
            except DatabaseUnavailable as error:
                self._line.invalidate(error)
            except psycopg.DatabaseError as error:
                self._line.invalidate(DatabaseUnavailable(str(error)))
            else:
                self._conn = conn
                self._renew_at = time.monotonic() + RENEWAL_S
                return conn
            self._pause(backoff.next())

    def look_after(self) -> None:
        """Notice that an idle session has ended, and enter with another. Raises as `connection`."""
        conn = self._conn
        if conn is None:
            return
        if conn.closed or wait_readable([conn], 0):
            try:
                with translate_errors():
                    conn.execute("select 1")
            except DatabaseUnavailable as error:
                self._line.invalidate(error)
        self.connection()

    def run(self, step: Callable[[BoundedConnection | None], None]) -> None:
        """Run a step in a transaction, again for as long as the server is away, or cannot serve.

        Raises what the step raises for reasons of its own, TimeLimitExceeded, and as `connection`.
        """
        backoff, trouble = Backoff(), Repeated()
        began = time.monotonic()
        while True:
            try:
                self._in_transaction(self.connection(), step)
                return
            except ApplicationError as raised:
                error = raised.error
                missing = isinstance(error, psycopg.errors.UndefinedTable)
                if not raised.outage and (not missing or time.monotonic() - began > MIGRATION_S):
                    raise error from error.__cause__
            except DatabaseUnavailable as unavailable:
                error = unavailable
            if isinstance(error, DatabaseUnavailable) and not isinstance(
                error, DatabaseTransientError
            ):
                self._line.invalidate(error)
            elif trouble.is_due(error):
                log.log(
                    logging.WARNING if isinstance(error, DatabaseTransientError) else logging.ERROR,
                    "PostgreSQL cannot do this now, trying again: %s", error,
                    extra={"action": "database_refused", "details": {"queue": self._queue}},
                )  # fmt: skip
            self._pause(backoff.next())

    def _in_transaction(
        self, conn: BoundedConnection, step: Callable[[BoundedConnection | None], None]
    ) -> None:
        """Raises ApplicationError, and DatabaseUnavailable for our own statements."""
        until = time.monotonic() + self._time_limit
        try:
            with (
                translate_errors(),
                conn.transaction(),
                application_block(conn, deadline=until, conflicts=True),
            ):
                step(conn)
        except ApplicationError as raised:
            if raised.late and isinstance(raised.error, DatabaseUnavailable):
                conn.close()
                limit = f"{self._time_limit:g} s"
                raise TimeLimitExceeded(f"the handler took longer than {limit}") from raised.error
            raise
