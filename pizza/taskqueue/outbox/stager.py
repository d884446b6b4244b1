"""Makes scheduled messages pending when they are due."""

from __future__ import annotations

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries

_SQL = Queries("taskqueue/keeper")

# The publisher works by position, so new messages wait behind at most this many due ones.
PENDING_LIMIT = 1000
_LONGEST_S = 1.0
_SHORTEST_S = 0.02
# While the publisher makes no progress, because RabbitMQ is away.
_FULL_S = 0.25


class Stager:
    """Runs on the keeper's thread and connection. pause: seconds until the next `stage`."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self.pause = 0.0

    def stage(self) -> None:
        """Make one slice of due messages pending; sets `pause`."""
        before, self.pause = self.pause, _FULL_S
        staged, _, room = self._conn.fetch_first(_SQL.stage_due, {"pending_limit": PENDING_LIMIT})
        if room == 0:
            self.pause = min(_FULL_S, max(_SHORTEST_S, before * 2))
        elif staged == room:
            self.pause = _SHORTEST_S
        else:
            due = self._conn.fetch_first(_SQL.seconds_until_due)[0]
            # What is due and could not be staged is locked.
            seconds = _LONGEST_S if due is None else due if due > 0 else _FULL_S
            self.pause = min(_LONGEST_S, max(_SHORTEST_S / 4, seconds))
