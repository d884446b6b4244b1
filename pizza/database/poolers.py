"""Telling a pooler in transaction mode, behind which a connection is no session of the server.

There an advisory lock, a LISTEN or a setting stays with a session that the next statement does not
use. A pooler shows itself: the process number that it gives to a client is its own invention, and
not that of the backend which serves the client. Its mode shows when two clients share a backend.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import psycopg

from pizza.database.errors import DatabaseUnavailable, DatabaseUnsupported

if TYPE_CHECKING:
    from pizza.database.connection import BoundedConnection

# How long the second client waits for a backend of its own.
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

# Addresses whose pooler was found to keep sessions; each process asks once.
_keep_sessions: set[str] = set()


def require_session(
    conn: BoundedConnection,
    backend: int,
    db_url: str,
    open_second: Callable[[], BoundedConnection],
) -> None:
    """Raise DatabaseUnsupported when a pooler lends the connection a backend for one transaction.

    Raises DatabaseUnavailable while that cannot be told. backend: the process that served its last
    statement. open_second: opens another connection to the same address. Any thread may call it;
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
        # Without an answer the mode is not known, and what needs a session must not go on.
        raise DatabaseUnavailable(_FULL) from error
    if shared:
        raise DatabaseUnsupported(TRANSACTION_MODE)
    _keep_sessions.add(db_url)


def _share_backends(conn: BoundedConnection, second: BoundedConnection, backend: int) -> bool:
    """Whether one connection uses a backend that was the other's, or changes its own.

    Neither keeps a backend while the other asks for one: a small pool would stand still.
    """
    for number in range(_ROUNDS):
        for _ in range(1 + number % 2):  # once or twice: two backends may take turns
            with second.transaction():
                if _backend_of(second) == backend:
                    return True
        if _backend_of(conn) != backend:
            return True
    return False


def _backend_of(conn: BoundedConnection) -> int:
    """Which process serves this statement. Never prepared: another one may serve the next."""
    row = conn.execute("select pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(row[0])


@contextlib.contextmanager
def reject_statement_pooling() -> Generator[None, None, None]:
    """Raise DatabaseUnsupported where a pooler says that it allows no transaction."""
    try:
        yield
    except psycopg.Error as error:
        if "statement pooling" in str(error):
            raise DatabaseUnsupported(_STATEMENT_MODE) from error
        raise
