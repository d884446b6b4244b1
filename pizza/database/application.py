"""Telling an outage of one connection from the errors of the application that uses it."""

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
    """Carries what an application's block has raised past the judgement of our own statements.

    error: what it has raised, or DatabaseUnavailable for an outage of the block's connection.
    outage: whether it is that, and not an error of the block, such as one of another database.
    lost: whether the connection was lost in the block. late: whether the block's time was over.
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
    """Run the application's own code on a connection, inside a transaction of ours.

    until: when its statements have to be over (time.monotonic); given_up: ends them at once.
    conflicts: whether a conflict with another transaction (a deadlock, a lock that is not to be
    had) is the server's trouble, too, instead of the block's error. Raises ApplicationError for
    everything that the block raises.
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
    trouble = classify_error(error) if conn.raised(error) else None
    if trouble is FailureKind.UNABLE or (conflicts and trouble is FailureKind.CONFLICT):
        return DatabaseTransientError(f"PostgreSQL cannot do this now: {error}")
    return None


def _own_error(error: BaseException) -> BaseException:
    if isinstance(error, psycopg.Rollback):
        return RuntimeError("this transaction cannot be rolled back by Rollback; raise an error")
    return error
