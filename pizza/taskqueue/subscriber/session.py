"""The database session of a handler thread, and its transactions."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from pizza.database.application import ApplicationError, application_block
from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import FrameworkError, TimeLimitExceeded
from pizza.taskqueue.lifecycle import wait_readable
from pizza.taskqueue.logs import LogThrottle, log_action
from pizza.taskqueue.retry import Backoff, RetryPolicy
from pizza.taskqueue.subscriber.event import Handler, OnDeadLetter

log = logging.getLogger(__name__)

# A missing table is waited for: most often its migration has not run yet.
MIGRATION_S = 60.0
RENEWAL_S = 3.0


class NameLockLost(FrameworkError):
    """Another subscriber has the lock on the name; this one handles no further event."""


@dataclass(frozen=True, slots=True)
class HandlerConfig:
    """What all handler threads of a subscriber share.

    db: None for a subscriber without a database. on_connect: called with each new database
    connection before its first use, or with None; may raise NameLockLost or Released. renew: called
    after that, and about every RENEWAL_S seconds between two events. time_limit: seconds for one
    transaction of the handler.
    """

    handler: Handler
    on_dead_letter: OnDeadLetter | None
    retry: RetryPolicy
    db: ReconnectingConnection | None
    on_connect: Callable[[BoundedConnection | None], None]
    renew: Callable[[BoundedConnection], None]
    time_limit: float


class HandlerSession:
    """The session of one handler thread. Not thread-safe."""

    def __init__(self, config: HandlerConfig, queue: str, wait: Callable[[float], None]) -> None:
        """queue: for logs. wait: waits so many seconds; raises Released if the subscriber stops."""
        assert config.db is not None
        self._config = config
        self._db = config.db
        self._queue = queue
        self._wait = wait
        self._renew_at = 0.0
        self._conn: BoundedConnection | None = None

    def connection(self) -> BoundedConnection:
        """The open connection. Waits while PostgreSQL is unavailable. Raises as `on_connect`."""
        backoff = Backoff()
        while True:
            conn = self._db.connection()
            if conn is self._conn and time.monotonic() < self._renew_at:
                return conn
            try:
                with translate_errors():
                    if conn is not self._conn:
                        self._config.on_connect(conn)
                    self._config.renew(conn)
            except DatabaseUnavailable as error:
                self._db.invalidate(error)
            except psycopg.DatabaseError as error:
                self._db.invalidate(DatabaseUnavailable(str(error)))
            else:
                self._conn = conn
                self._renew_at = time.monotonic() + RENEWAL_S
                return conn
            self._wait(backoff.next())

    def check_connection(self) -> None:
        """Replace an idle connection that the server has closed. Raises as `connection`."""
        conn = self._conn
        if conn is None:
            return
        if conn.closed or wait_readable([conn], 0):
            try:
                with translate_errors():
                    conn.execute("select 1")
            except DatabaseUnavailable as error:
                self._db.invalidate(error)
        self.connection()

    def run_step(self, step: Callable[[BoundedConnection | None], None]) -> None:
        """Run a step in a transaction, repeatedly while PostgreSQL is unavailable or refuses work.

        Raises the step's own errors, TimeLimitExceeded, and as `connection`.
        """
        backoff, trouble = Backoff(), LogThrottle()
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
                self._db.invalidate(error)
            elif trouble.is_due(error):
                is_transient = isinstance(error, DatabaseTransientError)
                log_action(
                    log.warning if is_transient else log.error,
                    "database_refused",
                    f"PostgreSQL cannot do this now, trying again: {error}",
                    {"queue": self._queue},
                )
            self._wait(backoff.next())

    def _in_transaction(
        self, conn: BoundedConnection, step: Callable[[BoundedConnection | None], None]
    ) -> None:
        """Raises ApplicationError for the step, and DatabaseUnavailable for our own statements."""
        until = time.monotonic() + self._config.time_limit
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
                limit = f"{self._config.time_limit:g} s"
                raise TimeLimitExceeded(f"the handler took longer than {limit}") from raised.error
            raise
