"""Connections whose waits always end.

A server that is stopped, or hangs behind a dead network, must not hang its clients: every wait on
the socket ends after `statement_timeout` seconds. `is_unavailable()` separates the errors that
follow from the errors of a statement.
"""

from __future__ import annotations

import re
import select
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Self

import psycopg
from psycopg import waiting
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from pizza.database import poolers, session_settings
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable, DatabaseUnsupported
from pizza.database.sqlstates import FailureKind, classify_error

# Any connection of psycopg, in annotations.
Connection = psycopg.Connection[Any]

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 10.0

_REFUSED_PARAMETER = re.compile(r"unsupported startup parameter(?: in options)?: (\w+)")

_CONNECTION_PARAMETERS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class BoundedConnection(psycopg.Connection[Any]):
    """A psycopg connection whose waits end. One thread at a time uses it.

    statement_timeout: seconds until a wait ends (None: never).
    deadline: the time (time.monotonic) at which all waits end (None: none is set).
    abort_event: another thread sets it to end a wait, because the server does not answer.
    last_error: what the last statement that failed has raised.
    clock_offset: how far the server's clock was ahead of ours when the connection was made.
    """

    statement_timeout: float | None = STATEMENT_TIMEOUT_S
    deadline: float | None = None
    abort_event: threading.Event | None = None
    last_error: BaseException | None = None
    clock_offset: timedelta = timedelta()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cursors: dict[str, psycopg.Cursor[Any]] = {}
        self._last_words: list[psycopg.errors.Diagnostic] = []
        self.add_notice_handler(partial(_keep_fatal, self._last_words))

    def fetch_first(self, query: str, parameters: Any = None, row: Any = tuple_row) -> Any:
        """Run one of the program's own statements; returns its first row, or None.

        row: the row factory, always the same for a query. Each query keeps its cursor, and with it
        what psycopg knows of its parameters and columns: that is a third of psycopg's work.
        """
        cursor = self._cursors.get(query)
        if cursor is None:
            cursor = self._cursors[query] = self.cursor(row_factory=row)
        return cursor.execute(query, parameters).fetchone()

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a psycopg generator; after the timeout close, and raise DatabaseUnavailable.

        A connection that did not answer in time has to be closed: otherwise the answer to the old
        statement could be taken for the answer to the next one.
        """
        remaining = self.remaining
        try:
            if remaining is None and self.abort_event is None:
                return super().wait(gen, *args, **kwargs)
            deadline = None if remaining is None else time.monotonic() + remaining
            return super().wait(_bounded(gen, deadline, self.abort_event), *args, **kwargs)
        except DatabaseUnavailable as error:
            self.last_error = error
            self.close()
            raise
        except psycopg.Error as error:
            self.last_error = error
            raise

    def is_open(self) -> bool:
        """Whether an idle connection is still open at the server's end.

        Sends nothing: it reads what has arrived, or the end of the stream (3 µs). A server that
        ends a session says so some time before it closes the socket.
        """
        if self.closed:
            return False
        idle = select.poll()
        idle.register(self.fileno(), select.POLLIN)
        try:
            while idle.poll(0):
                self.pgconn.consume_input()
                self.pgconn.is_busy()  # parses it: an error without a statement is a notice
        except psycopg.Error:
            return False
        return not self._last_words

    def raised(self, error: BaseException) -> bool:
        """Whether an error, or one of its causes, is `last_error`."""
        seen: BaseException | None = error
        while seen is not None:
            if seen is self.last_error:
                return True
            seen = seen.__cause__ or seen.__context__
        return False

    @property
    def remaining(self) -> float | None:
        """How many seconds a wait that starts now may last (None: unlimited)."""
        if self.deadline is None:
            return self.statement_timeout
        left = self.deadline - time.monotonic()
        return left if self.statement_timeout is None else min(self.statement_timeout, left)

    @contextmanager
    def timeout_scope(self, seconds: float | None) -> Generator[Self, None, None]:
        """Set `statement_timeout` for the block (None: unlimited)."""
        before, self.statement_timeout = self.statement_timeout, seconds
        try:
            yield self
        finally:
            self.statement_timeout = before


def fetch_first(conn: Connection, query: str, parameters: Any = None, row: Any = tuple_row) -> Any:
    """Run a statement on any connection; returns its first row, or None. row: its row factory."""
    if isinstance(conn, BoundedConnection):
        return conn.fetch_first(query, parameters, row)
    return conn.cursor(row_factory=row).execute(query, parameters).fetchone()


def _bounded(
    gen: Any, deadline: float | None, abort: threading.Event | None
) -> Generator[Any, Any, Any]:
    """Delegate to a wait generator; raise DatabaseUnavailable after the deadline or an abort."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready == waiting.Ready.NONE and (
                (deadline is not None and time.monotonic() > deadline)
                or (abort is not None and abort.is_set())
            ):
                raise DatabaseUnavailable("PostgreSQL did not answer in time")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value


def connect(db_url: str, *, name: str) -> BoundedConnection:
    """Open an autocommit connection with its own session at the server.

    name: application_name in pg_stat_activity.
    Raises DatabaseUnavailable when the server cannot be reached in time, DatabaseUnsupported when
    this program cannot use it, for example behind a pooler in transaction mode.
    """
    with translate_errors():
        conn = BoundedConnection.connect(db_url, **parameters(db_url, name))
        configure(conn, db_url)
        return conn


def check_connection(db_url: str, *, name: str, pooled: bool = False) -> None:
    """Check with one connection that this program can use a database.

    pooled: whether its sessions may change with each transaction. Raises DatabaseUnsupported when
    the program cannot use it, DatabaseUnavailable when no server answers.
    """
    if not pooled:
        connect(db_url, name=name).close()
        return
    with translate_errors():
        conn = BoundedConnection.connect(db_url, **parameters(db_url, name, pooled=True))
        configure_pooled(conn)
        conn.close()


def parameters(db_url: str, name: str, *, pooled: bool = False) -> dict[str, Any]:
    """The parameters of every connection.

    Parameters in the address, such as a longer connect_timeout, are kept. pooled: the next
    statement may meet another backend, with other prepared statements.
    """
    given = conninfo_to_dict(db_url)
    ours = {key: value for key, value in _CONNECTION_PARAMETERS.items() if key not in given}
    ours |= {"prepare_threshold": None} if pooled else {}
    return {**ours, "application_name": name, "autocommit": True}


def _keep_fatal(found: list[psycopg.errors.Diagnostic], notice: psycopg.errors.Diagnostic) -> None:
    if notice.severity_nonlocalized in ("FATAL", "PANIC"):
        found.append(notice)


def configure(conn: BoundedConnection, db_url: str) -> None:
    """Set up a new session, measure the clock offset, and refuse poolers without sessions.

    Closes the connection and raises DatabaseUnsupported when this program cannot use it.
    """
    try:
        facts = session_settings.apply(conn)
        conn.clock_offset = facts.clock_offset
        poolers.require_session(conn, facts.backend, db_url, lambda: _second(db_url))
    except BaseException:
        conn.close()
        raise


def _second(db_url: str) -> BoundedConnection:
    """Another connection to the same address, without our session settings."""
    conn = BoundedConnection.connect(db_url, **parameters(db_url, "pooler check"))
    conn.statement_timeout = poolers.WAIT_S
    return conn


def configure_pooled(conn: BoundedConnection) -> None:
    """As `configure`, for a connection whose sessions may change with each transaction."""
    try:
        with poolers.reject_statement_pooling(), conn.transaction():
            conn.clock_offset = session_settings.apply_reported(conn).clock_offset
    except BaseException:
        conn.close()
        raise


def is_unavailable(error: BaseException) -> bool:
    """Whether an error means that the server is absent or cannot serve now.

    Every other error means that the statement was wrong.
    """
    return isinstance(error, DatabaseUnavailable) or classify_error(error) is not None


def _reason(error: Exception) -> str:
    """The driver's message on one line, without its questions."""
    lines = (" ".join(line.split()) for line in str(error).splitlines())
    return "; ".join(line for line in lines if line and not line.endswith("?"))[:200]


@contextmanager
def translate_errors() -> Generator[None, None, None]:
    """Turn the driver's errors about a server that cannot serve into DatabaseUnavailable.

    It is a DatabaseTransientError when the server answers, and only this statement failed.
    """
    try:
        yield
    except DatabaseUnavailable:
        raise
    except psycopg.Error as error:
        kind = classify_error(error)
        if kind is None:
            raise
        reason = _reason(error)
        if kind is not FailureKind.UNREACHABLE:
            raise DatabaseTransientError(f"PostgreSQL cannot do this now: {reason}") from error
        if unknown := _REFUSED_PARAMETER.search(str(error)):
            raise DatabaseUnsupported(
                f"The pooler refuses the startup parameter {unknown[1]}: take it out of the "
                "database address and the environment, or name it in ignore_startup_parameters"
            ) from error
        raise DatabaseUnavailable(f"PostgreSQL is not available: {reason}") from error
