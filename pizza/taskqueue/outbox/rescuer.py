"""Releases claims of dead workers, so that other workers process the messages."""

import logging
import time

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/keeper")

_SLICE = 500
_EXPIRED_LIMIT = 100
_GAP_S = 4.0
_DELETE_INTERVAL_S = 60.0


class Rescuer:
    """Runs on the keeper's thread and database connection."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self._checked_at = 0.0
        self._rescue_from = 0.0
        self._deleted_at = time.monotonic()

    def rescue(self) -> None:
        """End sessions of frozen workers, release orphaned claims, redeliver noted messages."""
        now = time.monotonic()
        gap, self._checked_at = now - self._checked_at, now
        if gap > _GAP_S:
            # This process or the server was suspended, so workers may not have been able to
            # renew their leases. Give them time for it.
            self._rescue_from = now + _GAP_S
        if now >= self._rescue_from:
            self._terminate_expired()
            self._release_orphaned()
        self._conn.execute(_SQL.redeliver_noted, {"limit": _SLICE})
        if now - self._deleted_at >= _DELETE_INTERVAL_S:
            self._deleted_at = now
            self._conn.execute(_SQL.delete_dead_workers)

    def _terminate_expired(self) -> None:
        rows = self._conn.execute(_SQL.expired_workers, {"limit": _EXPIRED_LIMIT}).fetchall()
        for worker, name in rows:
            row = self._conn.execute(_SQL.terminate_worker, {"worker": worker}).fetchone()
            if row is not None and row[0]:
                text = f"{name} has not renewed its lease; its sessions are ended"
                log_action(log.warning, "worker_expired", text, {"name": name})

    def _release_orphaned(self) -> None:
        while True:
            rows = self._conn.execute(_SQL.rescue_orphaned, {"limit": _SLICE}).fetchall()
            for id, task, queue, _ in rows:
                text = "The worker of a message is gone; the message waits again"
                details = {"message_id": str(id), "task": task, "queue": queue}
                log_action(log.warning, "claim_orphaned", text, details)
            if len(rows) < _SLICE:
                return
