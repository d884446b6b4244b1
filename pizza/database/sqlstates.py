"""What the SQLSTATE of an error says of the server: the one table of these rules.

Applied to our own statements. A statement of the application that fails is the application's
affair, unless its connection is the one that is lost.
"""

from __future__ import annotations

from enum import Enum

import psycopg


class FailureKind(Enum):
    """Why the server did not do what it would do at another time."""

    UNREACHABLE = "unreachable"  # away, stopping, starting, full; the connection is of no use
    UNABLE = "unable"  # there, yet it cannot serve now
    CONFLICT = "conflict"  # another transaction was in the way


_RULES = {
    "08": FailureKind.UNREACHABLE,  # connection exceptions
    "57P": FailureKind.UNREACHABLE,  # shutdown, crash, start, idle session ended
    "25P03": FailureKind.UNREACHABLE,  # ended: idle in a transaction for too long
    "25P04": FailureKind.UNREACHABLE,  # ended: the transaction took too long
    "53300": FailureKind.UNREACHABLE,  # too many connections
    "53": FailureKind.UNABLE,  # disk full, out of memory, a limit of the configuration
    "25006": FailureKind.UNABLE,  # read only: a standby, or the operator wants it so
    "57014": FailureKind.UNABLE,  # canceled: statement_timeout of the server, or an operator
    "40001": FailureKind.CONFLICT,  # could not serialise
    "40P01": FailureKind.CONFLICT,  # deadlock
    "55P03": FailureKind.CONFLICT,  # a lock is not to be had
}


def classify_error(error: BaseException) -> FailureKind | None:
    """What an error of the driver says; None for a statement that is wrong whenever it is run."""
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        # It was the driver that lost the connection.
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return FailureKind.UNREACHABLE if lost else None
    for length in (5, 3, 2):
        if (found := _RULES.get(state[:length])) is not None:
            return found
    return None
