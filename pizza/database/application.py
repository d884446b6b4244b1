"""Separate an outage of a connection from errors of the application that uses it."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event

import psycopg

from pizza.database.connection import BoundedConnection
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.database.sqlstates import FailureKind, classify_error


class ApplicationError(BaseException):
    """Wraps an error of an application's block, so that no handler for our statements catches it.

    error: the block's exception, or DatabaseUnavailable for an outage of the block's connection.
    outage: whether `error` is such an outage, and not an error of the block itself.
    lost: whether the connection was lost in the block. late: whether the deadline had passed.
    """

    def __init__(self, error: BaseException, *, outage: bool, lost: bool, late: bool) -> None:
        super().__init__(error)
        self.error = error
        self.outage = outage
        self.lost = lost
        self.late = late


@contextmanager
def application_block(
    conn: BoundedConnection,
    *,
    deadline: float | None,
    abort_event: Event | None = None,
    conflicts: bool = False,
) -> Generator[None, None, None]:
    """Run the application's code on a connection, inside a transaction of ours.

    deadline: when its statements have to end (time.monotonic). abort_event: ends them at once.
    conflicts: whether a conflict with another transaction (a deadlock, a lock not available)
    counts as an outage instead of an error of the block. Wraps each exception of the block in
    ApplicationError.
    """
    statement_timeout = conn.statement_timeout
    conn.statement_timeout, conn.deadline, conn.abort_event = None, deadline, abort_event
    try:
        yield
    except BaseException as error:
        late = deadline is not None and time.monotonic() >= deadline
        lost = not late and _is_lost(conn, error)
        outage = _outage(conn, error, lost=lost, conflicts=conflicts)
        raise ApplicationError(
            outage or _own_error(error), outage=outage is not None, lost=lost, late=late
        ) from error
    finally:
        conn.statement_timeout, conn.deadline, conn.abort_event = statement_timeout, None, None


def _is_lost(conn: BoundedConnection, error: BaseException) -> bool:
    return conn.broken or (isinstance(error, DatabaseUnavailable) and conn.raised(error))


def _outage(
    conn: BoundedConnection, error: BaseException, *, lost: bool, conflicts: bool
) -> DatabaseUnavailable | None:
    if not isinstance(error, Exception):
        return None
    if lost:
        return DatabaseUnavailable(f"the connection was lost: {error}")
    kind = classify_error(error) if conn.raised(error) else None
    if kind is FailureKind.UNABLE or (conflicts and kind is FailureKind.CONFLICT):
        return DatabaseTransientError(f"PostgreSQL cannot do this now: {error}")
    return None


def _own_error(error: BaseException) -> BaseException:
    if isinstance(error, psycopg.Rollback):
        return RuntimeError("this transaction cannot be rolled back by Rollback; raise an error")
    return error
