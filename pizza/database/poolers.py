"""Detect a pooler in transaction mode, behind which a connection has no session of the server.

There an advisory lock, a LISTEN or a setting stays with a backend that the next statement may not
use. A pooler is detected because the process id that it reports to a client differs from the id of
the backend that serves the client. It is in transaction mode when two clients share a backend.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import psycopg

from pizza.database.errors import DatabaseUnavailable, DatabaseUnsupported

if TYPE_CHECKING:
    from pizza.database.connection import BoundedConnection

# How long the second client waits for a backend.
WAIT_S = 3.0
# Other clients of the pooler may take a backend away between two statements.
_ROUNDS = 20

TRANSACTION_MODE = (
    "The database address leads to a pooler in transaction mode, which keeps no session: "
    "give the address of the server itself, or of a pooler in session mode"
)
_STATEMENT_MODE = (
    "The database address leads to a pooler in statement mode, which allows no transaction: "
    "give the address of a pooler in transaction mode, or of the server itself"
)

_FULL = "The pooler has no free backend for a second connection: raise its pool size"

# Addresses whose pooler keeps sessions; each process checks once.
_keep_sessions: set[str] = set()


def require_session(
    conn: BoundedConnection,
    backend: int,
    db_url: str,
    open_second: Callable[[], BoundedConnection],
) -> None:
    """Raise DatabaseUnsupported when a pooler gives the connection a backend per transaction.

    Raises DatabaseUnavailable while that is not known. backend: the id of the process that served
    the last statement. open_second: opens another connection to the same address. For any thread;
    both connections are idle before and after.
    """
    if backend == conn.info.backend_pid or db_url in _keep_sessions:
        return
    try:
        with reject_statement_pooling(), open_second() as second:
            shared = _share_backends(conn, second, backend)
    except DatabaseUnsupported:
        raise
    except DatabaseUnavailable as error:
        # The mode is not known, and the caller needs a session.
        raise DatabaseUnavailable(_FULL) from error
    if shared:
        raise DatabaseUnsupported(TRANSACTION_MODE)
    _keep_sessions.add(db_url)


def _share_backends(conn: BoundedConnection, second: BoundedConnection, backend: int) -> bool:
    """Whether one connection uses the other's backend, or its own backend changes.

    Neither holds a backend while the other needs one: a small pool would block.
    """
    for number in range(_ROUNDS):
        for _ in range(1 + number % 2):  # once or twice, as two backends may alternate
            with second.transaction():
                if _backend_of(second) == backend:
                    return True
        if _backend_of(conn) != backend:
            return True
    return False


def _backend_of(conn: BoundedConnection) -> int:
    """The id of the process that serves this statement, which is never prepared."""
    row = conn.execute("select pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(row[0])


@contextlib.contextmanager
def reject_statement_pooling() -> Generator[None, None, None]:
    """Raise DatabaseUnsupported when a pooler reports that it allows no transactions."""
    try:
        yield
    except psycopg.Error as error:
        if "statement pooling" in str(error):
            raise DatabaseUnsupported(_STATEMENT_MODE) from error
        raise
