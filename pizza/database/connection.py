"""Connections on which no wait lasts for ever.

A server that is stopped, or hangs behind a dead network, must not hang its clients
with it: every wait on the socket ends after `limit` seconds, and what the driver then
raises is told apart from the errors of a statement by `is_unavailable()`.
"""

from __future__ import annotations

import re
import select
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

import psycopg
from psycopg import waiting
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from pizza.database import poolers, session_settings
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable, DatabaseUnsupported
from pizza.database.sqlstates import FailureKind, classify_error

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
    """A psycopg connection whose waits end after `limit` seconds (None: never).

    until: the moment (by time.monotonic) at which they all end, when its user has one.
    given_up: set by another thread that knows that the server does not answer: ends a wait.
    last_error: what the last statement that failed has raised.
    ahead: by how much the server's clock was ahead of ours when the connection was made.
    """

    statement_timeout: float | None = STATEMENT_TIMEOUT_S
    deadline: float | None = None
    abort_event: threading.Event | None = None
    last_error: BaseException | None = None
    clock_offset: timedelta = timedelta()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: dict[str, psycopg.Cursor[Any]] = {}

    def fetch_first(self, query: str, parameters: Any = None, row: Any = tuple_row) -> Any:
        """Run one of the program's own statements, and return its first row (None without one).

        Each keeps its cursor, and with it what psycopg has found out about parameters and
        columns: a third of its work. row: always the same row factory for a query.
        """
        cursor = self._kept.get(query)
        if cursor is None:
            cursor = self._kept[query] = self.cursor(row_factory=row)
        return cursor.execute(query, parameters).fetchone()

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Drive a psycopg generator; past the limit, close and raise.

        A connection that did not answer in time is of no further use: the answer to
        the old statement could be taken for that of the next one.
        """
        patience = self.remaining
        try:
            if patience is None and self.abort_event is None:
                return super().wait(gen, *args, **kwargs)
            until = None if patience is None else time.monotonic() + patience
            return super().wait(_bounded(gen, until, self.abort_event), *args, **kwargs)
        except DatabaseUnavailable as error:
            self.last_error = error
            self.close()
            raise
        except psycopg.Error as error:
            self.last_error = error
            raise

    def is_open(self) -> bool:
        """Whether the other end has not ended this connection, which has to be idle.

        Asks nothing of the server: it looks for data, or an end, that has arrived (3 µs).
        """
        if self.closed:
            return False
        idle = select.poll()
        idle.register(self.fileno(), select.POLLIN)
        try:
            while idle.poll(0):
                self.pgconn.consume_input()
        except psycopg.Error:
            return False
        return True

    def raised(self, error: BaseException) -> bool:
        """Whether an error, or one that it was raised from, is the last one of this connection."""
        seen: BaseException | None = error
        while seen is not None:
            if seen is self.last_error:
                return True
            seen = seen.__cause__ or seen.__context__
        return False

    @property
    def remaining(self) -> float | None:
        """How many seconds a wait that begins now may last (None: without end)."""
        if self.deadline is None:
            return self.statement_timeout
        left = self.deadline - time.monotonic()
        return left if self.statement_timeout is None else min(self.statement_timeout, left)

    @contextmanager
    def timeout_scope(self, seconds: float | None) -> Generator[Self, None, None]:
        """Let each wait in the block last up to `seconds` (None: without end)."""
        before, self.statement_timeout = self.statement_timeout, seconds
        try:
            yield self
        finally:
            self.statement_timeout = before


def fetch_first(conn: psycopg.Connection[Any], query: str, parameters: Any = None) -> Any:
    """The first row of a statement, on any connection; ours keep their cursors."""
    if isinstance(conn, BoundedConnection):
        return conn.fetch_first(query, parameters)
    return conn.execute(query, parameters).fetchone()


def _bounded(
    gen: Any, until: float | None, given_up: threading.Event | None
) -> Generator[Any, Any, Any]:
    """Pass a wait generator through, and stop it when its time is up."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready == waiting.Ready.NONE and (
                (until is not None and time.monotonic() > until)
                or (given_up is not None and given_up.is_set())
            ):
                raise DatabaseUnavailable("PostgreSQL did not answer in time")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value


def connect(db_url: str, *, name: str) -> BoundedConnection:
    """Open an autocommit connection that is a session of the server.

    name: shown as application_name in pg_stat_activity.
    Raises DatabaseUnavailable when the server cannot be reached in time, DatabaseUnsupported when
    this program cannot use it, such as behind a pooler in transaction mode.
    """
    with translate_errors():
        conn = BoundedConnection.connect(db_url, **parameters(db_url, name))
        configure(conn, db_url)
        return conn


def check_connection(db_url: str, *, name: str, pooled: bool = False) -> None:
    """Find out whether this program can use a database, by one connection.

    pooled: whether its sessions may change with each transaction. Raises DatabaseUnsupported when
    it cannot, DatabaseUnavailable when nobody answers.
    """
    if not pooled:
        connect(db_url, name=name).close()
        return
    with translate_errors():
        given = parameters(db_url, name) | {"prepare_threshold": None}
        conn = BoundedConnection.connect(db_url, **given)
        configure_pooled(conn)
        conn.close()


def parameters(db_url: str, name: str) -> dict[str, Any]:
    """Connection parameters that every connection of ours shares.

    Those that the address gives itself, such as a longer connect_timeout, stay as they are.
    """
    given = conninfo_to_dict(db_url)
    ours = {key: value for key, value in _CONNECTION_PARAMETERS.items() if key not in given}
    return {**ours, "application_name": name, "autocommit": True}


def configure(conn: BoundedConnection, db_url: str) -> None:
    """Make the settings of a new session, compare clocks, and insist on a session.

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
    """Another connection to the same address, on which no setting is made."""
    conn = BoundedConnection.connect(db_url, **parameters(db_url, "pooler check"))
    conn.statement_timeout = poolers.WAIT_S
    return conn


def configure_pooled(conn: BoundedConnection) -> None:
    """The same for a connection whose sessions may change with each transaction."""
    try:
        with poolers.reject_statement_pooling(), conn.transaction():
            conn.clock_offset = session_settings.apply_reported(conn).clock_offset
    except BaseException:
        conn.close()
        raise


def is_unavailable(error: BaseException) -> bool:
    """Whether an error says that the server is away, or cannot serve now, whatever is asked.

    Everything else says that a statement was wrong.
    """
    return isinstance(error, DatabaseUnavailable) or classify_error(error) is not None


def _reason(error: Exception) -> str:
    """What the driver says, without the questions that it asks back."""
    lines = (" ".join(line.split()) for line in str(error).splitlines())
    return "; ".join(line for line in lines if line and not line.endswith("?"))[:200]


@contextmanager
def translate_errors() -> Generator[None, None, None]:
    """Turn the driver's words for a server that cannot serve into DatabaseUnavailable.

    It is a DatabaseTransientError when the server is there, and has only refused the statement.
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
