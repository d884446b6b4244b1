"""Frees what dead workers have claimed, so that others get it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/keeper")

_SLICE = 500
_EXPIRED_LIMIT = 100
_GAP_S = 4.0
_FORGET_S = 60.0


class Rescuer:
    """On the keeper's connection.

    say: logs a sentence about something at a bounded rate.
    """

    def __init__(self, conn: BoundedConnection, say: Callable[[str, str], None]) -> None:
        self._conn = conn
        self._say = say
        self._looked_at = 0.0
        self._judge_from = 0.0
        self._forgot_at = time.monotonic()

    def rescue(self) -> None:
        """Look once: end frozen workers' sessions, free orphaned claims, publish what was noted."""
        now = time.monotonic()
        gap, self._looked_at = now - self._looked_at, now
        if gap > _GAP_S:
            # We, or the server, have slept: leases that have ended may just not have been
            # renewable. Give everybody the time to do it.
            self._judge_from = now + _GAP_S
        if now >= self._judge_from:
            self._end_expired()
            self._free_orphaned()
        self._conn.execute(_SQL.redeliver_noted, {"limit": _SLICE})
        if now - self._forgot_at >= _FORGET_S:
            self._forgot_at = now
            self._conn.execute(_SQL.delete_dead_workers)

    def _end_expired(self) -> None:
        rows = self._conn.execute(_SQL.expired_workers, {"limit": _EXPIRED_LIMIT}).fetchall()
        for worker, name in rows:
            row = self._conn.execute(_SQL.terminate_worker, {"worker": worker}).fetchone()
            if row is not None and row[0]:
                log.warning(
                    "%s has not renewed its lease; its sessions are ended", name,
                    extra={"action": "worker_expired", "details": {"name": name}},
                )  # fmt: skip

    def _free_orphaned(self) -> None:
        while True:
            rows = self._conn.execute(_SQL.rescue_orphaned, {"limit": _SLICE}).fetchall()
            for id, task, queue, _ in rows:
                log.warning(
                    "The worker of a message is gone; the message waits again",
                    extra={
                        "action": "claim_orphaned",
                        "details": {"message_id": str(id), "task": task, "queue": queue},
                    },
                )  # fmt: skip
            if len(rows) < _SLICE:
                return
