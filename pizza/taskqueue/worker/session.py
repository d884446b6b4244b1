"""A worker's presence in the database: its session lock, its leases, its heartbeat.

The lock on the worker's key lives and dies with this connection, so everybody can tell
at once whether a claim's holder is still there, without waiting for a heartbeat.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from typing import Protocol

import psycopg

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.errors import RegistrationRefused
from pizza.taskqueue.job import Job
from pizza.taskqueue.lifecycle import Shutdown, wait_readable
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.worker.context import WorkerContext
from pizza.taskqueue.worker.failures import fail_hung_job

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/messages")

HEARTBEAT_INTERVAL_S = 30.0
# A job that is over its time limit has so long to notice that it is interrupted.
HANG_GRACE_S = 1.0
_TICK_S = 0.5
_STATEMENT_TIMEOUT_S = 5.0
NO_TABLES = "the database has no tables of this version: run --setup-db"
MISSING_TABLES = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction)


class WorkerRegistry(Protocol):
    """What an application does when a worker comes, lives and goes; each with its connection."""

    def register(self, conn: BoundedConnection) -> None:
        """The worker starts, or has reconnected. May raise RegistrationRefused."""

    def heartbeat(self, conn: BoundedConnection) -> None:
        """It is alive (every 30 s)."""

    def unregister(self, conn: BoundedConnection) -> None:
        """It ends in good order."""


class NullRegistry:
    """For applications that keep no list of their workers."""

    def register(self, conn: BoundedConnection) -> None:
        """Nothing is noted."""

    def heartbeat(self, conn: BoundedConnection) -> None:
        """Nothing is noted."""

    def unregister(self, conn: BoundedConnection) -> None:
        """Nothing is noted."""


def new_worker_id() -> int:
    """A key for one life of one worker: positive, 63 bits, never the framework's own."""
    return secrets.randbits(62) | 1 << 61


class Session(threading.Thread):
    """Holds the worker's lock, renews its lease, and beats, in a thread of its own.

    The lease is a row of the worker's own: renewing it waits for nothing that a job has locked.
    registered: set while the lock is held and the registry has let the worker in.
    refused: the registry's sentence, once it has refused the worker's first entry.
    hung: the job that was ended here, as it was over its time limit and could not be interrupted.
    """

    def __init__(
        self,
        db_url: str,
        name: str,
        context: WorkerContext,
        registry: WorkerRegistry,
        stop: Shutdown,
    ) -> None:
        super().__init__(name="session", daemon=True)
        self.registered = threading.Event()
        self.refused: str | None = None
        self.hung: Job | None = None
        self._was_registered = False
        self._db_url = db_url
        self._application = f"{name} session"
        self._context = context
        self._registry = registry
        self._worker_stop = stop
        self._end = threading.Event()
        self._said: str | None = None

    def run(self) -> None:
        """Until `close`: be present; come back whenever the database does."""
        backoff = Backoff()
        while not self._end.is_set() and self.refused is None:
            try:
                with connect(self._db_url, name=self._application) as conn, translate_errors():
                    conn.statement_timeout = _STATEMENT_TIMEOUT_S
                    self._register(conn)
                    backoff.reset()
                    if self._said is not None:
                        self._said = None
                        log.info("Worker is back", extra={"action": "worker_reconnected"})
                    self._renew_until_closed(conn)
            except (
                Exception
            ) as error:  # also one of the registry's own: a worker must not go on unseen
                self.registered.clear()
                self._worker_stop.wake.set()
                if isinstance(error, RegistrationRefused) and not self._was_registered:
                    self.refused = str(error)
                    self._worker_stop.wake.set()
                    return
                self._say(error)
                if isinstance(error, DatabaseUnavailable) and not isinstance(
                    error, DatabaseTransientError
                ):
                    self._context.database_silent.set()
                self._end.wait(backoff.next())

    def _say(self, error: Exception) -> None:
        """Log the first reason of an outage, and what is another trouble."""
        reason = NO_TABLES if isinstance(error, MISSING_TABLES) else str(error)
        outage = isinstance(error, DatabaseUnavailable) and self._said is not None
        if reason != self._said and not outage:
            self._said = reason
            log.warning("Worker cannot be present: %s", reason, extra={"action": "session_lost"})

    def _register(self, conn: BoundedConnection) -> None:
        for _ in range(20):
            # Somebody who just asks whether we live holds the key for a moment.
            if conn.execute(_SQL.try_lock, {"holder": self._context.worker_id}).fetchone() == (
                True,
            ):
                break
            time.sleep(0.05)
        else:
            raise DatabaseUnavailable("the former session of this worker has not ended yet")
        values = {"holder": self._context.worker_id, "name": self._context.worker_name}
        conn.execute(_SQL.register, values | {"lease": self._context.lease})
        # What a withdrawn job's worker is told by (see message_withdraw).
        conn.execute(f"listen claim_{self._context.worker_id}")
        self._registry.register(conn)
        self._context.database_silent.clear()
        self._was_registered = True
        self._check_claim(conn)
        self.registered.set()
        self._worker_stop.wake.set()

    def _renew_until_closed(self, conn: BoundedConnection) -> None:
        lease = self._context.lease.total_seconds()
        heartbeat_at = renewed = time.monotonic()
        refused = False
        while not self._end.wait(_TICK_S):
            now = time.monotonic()
            try:
                with translate_errors():
                    # Something to read while nothing was asked: the end of the connection, or the
                    # news that the message in hand was withdrawn.
                    if now - renewed >= lease / 3 or wait_readable([conn], 0):
                        self._check_claim(conn)
                        renewed = now
                    if now - heartbeat_at >= HEARTBEAT_INTERVAL_S:
                        self._registry.heartbeat(conn)
                        heartbeat_at = now
                    self._end_hung_job(conn)
                    refused = False
            except DatabaseTransientError as error:
                # The lock stands, so nobody takes the worker for dead; what was refused is tried
                # at the next tick.
                if not refused:
                    log.warning("Lease not renewed: %s", error, extra={"action": "lease_refused"})
                refused, renewed = True, now - lease
        self._registry.unregister(conn)
        conn.execute(_SQL.unregister, {"holder": self._context.worker_id})

    def _check_claim(self, conn: BoundedConnection) -> None:
        """Renew the lease, and look whether the message in hand is still ours."""
        held = self._context.current_claim
        id, token = held or (None, None)
        values = {"id": id, "token": token, "holder": self._context.worker_id}
        row = conn.execute(_SQL.renew, values | {"lease": self._context.lease}).fetchone()
        assert row is not None
        registered, still_held = row
        if not registered:
            raise DatabaseUnavailable("the registration of this worker is gone")
        for note in conn.notifies(timeout=0):
            if note.payload == str(id):
                self._context.cancelled_id = id
        if not still_held and self._context.current_claim == held:
            self._context.lease_lost.set()
            self._context.sleep_interrupt.set()

    def _end_hung_job(self, conn: BoundedConnection) -> None:
        """End the claim of a job that is over its time limit and does not notice.

        Its attempt has failed; what the job may still do does not count.
        """
        job, deadline = self._context.current_job, self._context.deadline
        if job is None or deadline is None or time.monotonic() < deadline + HANG_GRACE_S:
            return
        self._context.sleep_interrupt.set()
        if time.monotonic() < deadline + 2 * HANG_GRACE_S or job.token is None:
            return
        conn.execute(_SQL.end_predecessor, {"key": -self._context.worker_id})
        fail_hung_job(conn, job)
        self.hung = job
        self._worker_stop.set()

    def close(self, timeout: float) -> None:
        """Leave: the registry is told, the lock freed. Waits up to `timeout` seconds."""
        self._end.set()
        if self.is_alive():
            self.join(timeout)


def lock_job_key(conn: BoundedConnection, worker_id: int) -> None:
    """Mark a job's connection as the one of its worker, and end its predecessor.

    A connection that was lost on the way may still stand at the server, with rows locked. The key
    by which the keeper finds the sessions of a frozen worker is the worker's own, negated. Raises
    DatabaseUnavailable when the predecessor does not end.
    """
    conn.execute(_SQL.end_predecessor, {"key": -worker_id})
    for _ in range(40):
        if conn.execute(_SQL.try_lock, {"holder": -worker_id}).fetchone() == (True,):
            return
        time.sleep(0.05)
    raise DatabaseUnavailable("the former connection of this worker's job has not ended yet")
