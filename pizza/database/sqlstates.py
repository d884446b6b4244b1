"""Which SQLSTATEs mean a failure of the server, and not of the statement.

The rules hold for our own statements. An error in a statement of the application is the
application's, unless the connection was lost.
"""

from __future__ import annotations

from enum import Enum

import psycopg


class FailureKind(Enum):
    """Why a correct statement failed."""

    UNREACHABLE = "unreachable"  # absent, stopping, starting, full; the connection is lost
    UNABLE = "unable"  # reachable, but it cannot serve now
    CONFLICT = "conflict"  # a conflict with another transaction


_RULES = {
    "08": FailureKind.UNREACHABLE,  # connection exceptions
    "57P": FailureKind.UNREACHABLE,  # shutdown, crash, start, idle session ended
    "25P03": FailureKind.UNREACHABLE,  # ended: idle in a transaction for too long
    "25P04": FailureKind.UNREACHABLE,  # ended: the transaction took too long
    "53300": FailureKind.UNREACHABLE,  # too many connections
    "53": FailureKind.UNABLE,  # disk full, out of memory, a limit of the configuration
    "25006": FailureKind.UNABLE,  # read-only: a standby, or a setting
    "57014": FailureKind.UNABLE,  # canceled: statement_timeout of the server, or an operator
    "40001": FailureKind.CONFLICT,  # serialization failure
    "40P01": FailureKind.CONFLICT,  # deadlock
    "55P03": FailureKind.CONFLICT,  # lock not available
}


def classify_error(error: BaseException) -> FailureKind | None:
    """The kind of failure that a driver's error shows; None when the statement is wrong."""
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        # The driver reports a lost connection without a SQLSTATE.
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return FailureKind.UNREACHABLE if lost else None
    for length in (5, 3, 2):
        if (found := _RULES.get(state[:length])) is not None:
            return found
    return None
