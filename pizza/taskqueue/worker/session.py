"""A worker's session in the database: an advisory lock, a lease and a heartbeat.

PostgreSQL releases the lock when this connection ends, so others detect at once that a worker with
a claim is gone, without waiting for a heartbeat.
"""

import logging
import secrets
import threading
import time
from typing import Any

import psycopg

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.errors import RegistrationRefused
from pizza.taskqueue.job import Job
from pizza.taskqueue.lifecycle import Shutdown, wait_readable
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.service import ServiceThread
from pizza.taskqueue.worker.context import WorkerContext
from pizza.taskqueue.worker.failures import fail_hung_job

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/messages")

HEARTBEAT_INTERVAL_S = 30.0
# How long after its deadline a job may take to notice it before it is interrupted, and then to end.
HANG_GRACE_S = 1.0
_TICK_S = 0.5
_STATEMENT_TIMEOUT_S = 5.0
NO_TABLES = "the database has no tables of this version: run --setup-db"
MISSING_TABLE_ERRORS = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction)


class WorkerRegistry:
    """An application's list of its workers; this one records nothing.

    Called in the session thread, with its connection.
    """

    def register(self, conn: BoundedConnection) -> None:
        """The worker has started or reconnected. Raises RegistrationRefused to refuse a start."""

    def heartbeat(self, conn: BoundedConnection) -> None:
        """The worker is alive; called every 30 s."""

    def unregister(self, conn: BoundedConnection) -> None:
        """The worker stops in an orderly way."""


def new_worker_id() -> int:
    """A random id for a worker's session: from 2**61 to 2**62, which no other lock uses."""
    return secrets.randbits(62) | 1 << 61


class Session(ServiceThread):
    """Holds the worker's lock and renews its lease until `stop`; then unregisters the worker.

    The lease has its own row, so its renewal does not wait for rows that a job has locked.

    registered: set while the lock is held and the registry has accepted the worker.
    refused: why the registry refused the worker's start; None if it did not.
    hung_job: the job whose attempt this thread has failed, because it could not be interrupted.
    """

    def __init__(
        self,
        db_url: str,
        name: str,
        context: WorkerContext,
        registry: WorkerRegistry,
        stop: Shutdown,
    ) -> None:
        super().__init__("session")
        self.registered = threading.Event()
        self.refused: str | None = None
        self.hung_job: Job | None = None
        self._was_registered = False
        self._db_url = db_url
        self._application_name = f"{name} session"
        self._context = context
        self._registry = registry
        self._worker_stop = stop
        self._logged_reason: str | None = None

    def run(self) -> None:
        """Register and stay registered until `stop`; reconnect after each outage."""
        backoff = Backoff()
        while not self._stopping.is_set() and self.refused is None:
            try:
                with connect(self._db_url, name=self._application_name) as conn, translate_errors():
                    conn.statement_timeout = _STATEMENT_TIMEOUT_S
                    self._register(conn)
                    backoff.reset()
                    if self._logged_reason is not None:
                        self._logged_reason = None
                        log.info("Worker is back", extra={"action": "worker_reconnected"})
                    self._renew_until_stopped(conn)
            except Exception as error:  # including the registry's: it must not end this thread
                self.registered.clear()
                self._worker_stop.wake.set()
                if isinstance(error, RegistrationRefused) and not self._was_registered:
                    self.refused = str(error)
                    self._worker_stop.wake.set()
                    return
                self._log_once(error)
                is_transient = isinstance(error, DatabaseTransientError)
                if isinstance(error, DatabaseUnavailable) and not is_transient:
                    self._context.database_silent.set()
                self._stopping.wait(backoff.next())

    def _log_once(self, error: Exception) -> None:
        """Log the first error of an outage, and each error of another kind."""
        reason = NO_TABLES if isinstance(error, MISSING_TABLE_ERRORS) else str(error)
        is_same_outage = isinstance(error, DatabaseUnavailable) and self._logged_reason is not None
        if reason != self._logged_reason and not is_same_outage:
            self._logged_reason = reason
            log.warning("Worker cannot be present: %s", reason, extra={"action": "session_lost"})

    def _register(self, conn: BoundedConnection) -> None:
        worker_id = self._context.worker_id
        # Another session that tests whether this worker lives holds the lock for a moment.
        if not _acquire_lock(conn, worker_id, attempts=20):
            raise DatabaseUnavailable("the former session of this worker has not ended yet")
        values = {"worker_id": worker_id, "name": self._context.worker_name}
        conn.execute(_SQL.register, values | {"lease": self._context.lease})
        # message_cancel notifies this channel when it cancels the message of a running job.
        conn.execute(f"listen claim_{worker_id}")
        self._registry.register(conn)
        self._context.database_silent.clear()
        self._was_registered = True
        self._renew(conn)
        self.registered.set()
        self._worker_stop.wake.set()

    def _renew_until_stopped(self, conn: BoundedConnection) -> None:
        lease = self._context.lease.total_seconds()
        heartbeat_at = renewed_at = time.monotonic()
        is_refused = False
        while not self._stopping.wait(_TICK_S):
            now = time.monotonic()
            try:
                with translate_errors():
                    # Readable without a request: the connection has ended, or a cancellation was
                    # notified.
                    if now - renewed_at >= lease / 3 or wait_readable([conn], 0):
                        self._renew(conn)
                        renewed_at = now
                    if now - heartbeat_at >= HEARTBEAT_INTERVAL_S:
                        self._registry.heartbeat(conn)
                        heartbeat_at = now
                    self._end_hung_job(conn)
                    is_refused = False
            except DatabaseTransientError as error:
                # The lock is held, so the worker counts as alive; retry at the next tick.
                if not is_refused:
                    log.warning("Lease not renewed: %s", error, extra={"action": "lease_refused"})
                is_refused, renewed_at = True, now - lease
        self._registry.unregister(conn)
        conn.execute(_SQL.unregister, {"worker_id": self._context.worker_id})

    def _renew(self, conn: BoundedConnection) -> None:
        """Renew the lease, and check that the worker still has the claim of its job."""
        claim = self._context.current_claim
        id, token = claim or (None, None)
        values: dict[str, Any] = {"id": id, "token": token, "worker_id": self._context.worker_id}
        values["lease"] = self._context.lease
        is_registered, has_claim = conn.fetch_first(_SQL.renew, values)
        if not is_registered:
            raise DatabaseUnavailable("the registration of this worker is gone")
        for notification in conn.notifies(timeout=0):
            if notification.payload == str(id):
                self._context.cancelled_id = id
        if not has_claim and self._context.current_claim == claim:
            self._context.lost_claim = claim
            self._context.sleep_interrupt.set()

    def _end_hung_job(self, conn: BoundedConnection) -> None:
        """Fail the attempt of a job that exceeded its time limit and does not end.

        Then the job has lost its claim, and the worker stops.
        """
        job = self._context.current_job
        deadline = job.deadline if job is not None else None
        if job is None or deadline is None or time.monotonic() < deadline + HANG_GRACE_S:
            return
        self._context.sleep_interrupt.set()
        if time.monotonic() < deadline + 2 * HANG_GRACE_S or job.token is None:
            return
        conn.execute(_SQL.end_predecessor, {"key": -self._context.worker_id})
        fail_hung_job(conn, job)
        self.hung_job = job
        self._worker_stop.set()

    def wait_registered(self) -> bool:
        """Wait for the first registration; returns False if the worker has to stop first.

        Called by the worker's main thread. Raises RegistrationRefused.
        """
        while not self.registered.is_set():
            if self.refused is not None:
                raise RegistrationRefused(self.refused)
            if self._worker_stop.is_set():
                return False
            self._worker_stop.wake.wait(1.0)
        return True


def lock_job_key(conn: BoundedConnection, worker_id: int) -> None:
    """Take the advisory lock -worker_id on the job thread's connection; end the former holder.

    A lost connection may still exist at the server, with locked rows. The keeper finds the
    connection of a frozen worker by this lock. Raises DatabaseUnavailable if the former connection
    does not end within 2 s.
    """
    conn.execute(_SQL.end_predecessor, {"key": -worker_id})
    if not _acquire_lock(conn, -worker_id, attempts=40):
        raise DatabaseUnavailable("the former connection of this worker's job has not ended yet")


def _acquire_lock(conn: BoundedConnection, key: int, attempts: int) -> bool:
    """Try to acquire an advisory lock, every 0.05 s; returns whether it was acquired."""
    for _ in range(attempts):
        if conn.execute(_SQL.try_lock, {"key": key}).fetchone() == (True,):
            return True
        time.sleep(0.05)
    return False
