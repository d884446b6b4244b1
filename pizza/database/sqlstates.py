"""What the SQLSTATE of an error says of the server: the one table of these rules.

Applied to our own statements. A statement of the application that fails is the application's
affair, unless its connection is the one that is lost.
"""

from __future__ import annotations

from enum import Enum

import psycopg


class Trouble(Enum):
    """Why the server did not do what it would do at another time."""

    UNREACHABLE = "unreachable"  # away, stopping, starting, full; the connection is of no use
    UNABLE = "unable"  # there, yet it cannot serve now
    CONFLICT = "conflict"  # another transaction was in the way


_RULES = {
    "08": Trouble.UNREACHABLE,  # connection exceptions
    "57P": Trouble.UNREACHABLE,  # shutdown, crash, start, idle session ended
    "25P03": Trouble.UNREACHABLE,  # ended: idle in a transaction for too long
    "25P04": Trouble.UNREACHABLE,  # ended: the transaction took too long
    "53300": Trouble.UNREACHABLE,  # too many connections
    "53": Trouble.UNABLE,  # disk full, out of memory, a limit of the configuration
    "25006": Trouble.UNABLE,  # read only: a standby, or the operator wants it so
    "57014": Trouble.UNABLE,  # canceled: statement_timeout of the server, or an operator
    "40001": Trouble.CONFLICT,  # could not serialise
    "40P01": Trouble.CONFLICT,  # deadlock
    "55P03": Trouble.CONFLICT,  # a lock is not to be had
}


def trouble_of(error: BaseException) -> Trouble | None:
    """What an error of the driver says; None for a statement that is wrong whenever it is run."""
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        # It was the driver that lost the connection.
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return Trouble.UNREACHABLE if lost else None
    for length in (5, 3, 2):
        if (found := _RULES.get(state[:length])) is not None:
            return found
    return None
