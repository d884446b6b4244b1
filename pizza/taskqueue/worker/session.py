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
from pizza.taskqueue.errors import SessionRefused
from pizza.taskqueue.job import Job
from pizza.taskqueue.lifecycle import Stop, readable
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.worker.context import Bench
from pizza.taskqueue.worker.executor import fail_hung

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/messages")

BEAT_S = 30.0
# A job that is over its time limit has so long to notice that it is interrupted.
HANG_GRACE_S = 1.0
_TICK_S = 0.5
_STATEMENT_TIMEOUT_S = 5.0
NO_TABLES = "the database has no tables of this version: run --setup-db"
MISSING_TABLES = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction)


class Roster(Protocol):
    """What an application does when a worker comes, lives and goes; each with its connection."""

    def enter(self, conn: BoundedConnection) -> None:
        """The worker begins, or is back after the database was away. May raise SessionRefused."""

    def beat(self, conn: BoundedConnection) -> None:
        """It is alive (every 30 s)."""

    def leave(self, conn: BoundedConnection) -> None:
        """It ends in good order."""


class NoRoster:
    """For applications that keep no list of their workers."""

    def enter(self, conn: BoundedConnection) -> None:
        """Nothing is noted."""

    def beat(self, conn: BoundedConnection) -> None:
        """Nothing is noted."""

    def leave(self, conn: BoundedConnection) -> None:
        """Nothing is noted."""


def new_key() -> int:
    """A key for one life of one worker: positive, 63 bits, never the framework's own."""
    return secrets.randbits(62) | 1 << 61


class Session(threading.Thread):
    """Holds the worker's lock, renews its lease, and beats, in a thread of its own.

    The lease is a row of the worker's own: renewing it waits for nothing that a job has locked.
    present: set while the lock is held and the roster has let the worker in.
    refused: the roster's sentence, once it has refused the worker's first entry.
    hung: the job that was ended here, as it was over its time limit and could not be interrupted.
    """

    def __init__(self, db_url: str, name: str, bench: Bench, roster: Roster, stop: Stop) -> None:
        super().__init__(name="session", daemon=True)
        self.present = threading.Event()
        self.refused: str | None = None
        self.hung: Job | None = None
        self._entered = False
        self._db_url = db_url
        self._application = f"{name} session"
        self._bench = bench
        self._roster = roster
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
                    self._enter(conn)
                    backoff.reset()
                    if self._said is not None:
                        self._said = None
                        log.info("Worker is back", extra={"action": "worker_reconnected"})
                    self._live(conn)
            except (
                Exception
            ) as error:  # also one of the roster's own: a worker must not go on unseen
                self.present.clear()
                self._worker_stop.wake.set()
                if isinstance(error, SessionRefused) and not self._entered:
                    self.refused = str(error)
                    self._worker_stop.wake.set()
                    return
                self._say(error)
                if isinstance(error, DatabaseUnavailable) and not isinstance(
                    error, DatabaseTransientError
                ):
                    self._bench.silent.set()
                self._end.wait(backoff.next())

    def _say(self, error: Exception) -> None:
        """Log the first reason of an outage, and what is another trouble."""
        reason = NO_TABLES if isinstance(error, MISSING_TABLES) else str(error)
        outage = isinstance(error, DatabaseUnavailable) and self._said is not None
        if reason != self._said and not outage:
            self._said = reason
            log.warning("Worker cannot be present: %s", reason, extra={"action": "session_lost"})

    def _enter(self, conn: BoundedConnection) -> None:
        for _ in range(20):
            # Somebody who just asks whether we live holds the key for a moment.
            if conn.execute(_SQL.hold, {"holder": self._bench.holder}).fetchone() == (True,):
                break
            time.sleep(0.05)
        else:
            raise DatabaseUnavailable("the former session of this worker has not ended yet")
        values = {"holder": self._bench.holder, "name": self._bench.worker_name}
        conn.execute(_SQL.register, values | {"lease": self._bench.lease})
        # What a withdrawn job's worker is told by (see message_withdraw).
        conn.execute(f"listen claim_{self._bench.holder}")
        self._roster.enter(conn)
        self._bench.silent.clear()
        self._entered = True
        self._check_claim(conn)
        self.present.set()
        self._worker_stop.wake.set()

    def _live(self, conn: BoundedConnection) -> None:
        lease = self._bench.lease.total_seconds()
        beaten = renewed = time.monotonic()
        refused = False
        while not self._end.wait(_TICK_S):
            now = time.monotonic()
            try:
                with translate_errors():
                    # Something to read while nothing was asked: the end of the connection, or the
                    # news that the message in hand was withdrawn.
                    if now - renewed >= lease / 3 or readable([conn], 0):
                        self._check_claim(conn)
                        renewed = now
                    if now - beaten >= BEAT_S:
                        self._roster.beat(conn)
                        beaten = now
                    self._end_hung_job(conn)
                    refused = False
            except DatabaseTransientError as error:
                # The lock stands, so nobody takes the worker for dead; what was refused is tried
                # at the next tick.
                if not refused:
                    log.warning("Lease not renewed: %s", error, extra={"action": "lease_refused"})
                refused, renewed = True, now - lease
        self._roster.leave(conn)
        conn.execute(_SQL.unregister, {"holder": self._bench.holder})

    def _check_claim(self, conn: BoundedConnection) -> None:
        """Renew the lease, and look whether the message in hand is still ours."""
        held = self._bench.held
        id, token = held or (None, None)
        values = {"id": id, "token": token, "holder": self._bench.holder}
        row = conn.execute(_SQL.renew, values | {"lease": self._bench.lease}).fetchone()
        assert row is not None
        registered, still_held = row
        if not registered:
            raise DatabaseUnavailable("the registration of this worker is gone")
        for note in conn.notifies(timeout=0):
            if note.payload == str(id):
                self._bench.withdrawn = id
        if not still_held and self._bench.held == held:
            self._bench.lost.set()
            self._bench.interrupt.set()

    def _end_hung_job(self, conn: BoundedConnection) -> None:
        """End the claim of a job that is over its time limit and does not notice.

        Its attempt has failed; what the job may still do does not count.
        """
        job, deadline = self._bench.running, self._bench.deadline
        if job is None or deadline is None or time.monotonic() < deadline + HANG_GRACE_S:
            return
        self._bench.interrupt.set()
        if time.monotonic() < deadline + 2 * HANG_GRACE_S or job.token is None:
            return
        conn.execute(_SQL.end_predecessor, {"key": -self._bench.holder})
        fail_hung(conn, job)
        self.hung = job
        self._worker_stop.set()

    def close(self, timeout: float) -> None:
        """Leave: the roster is told, the lock freed. Waits up to `timeout` seconds."""
        self._end.set()
        if self.is_alive():
            self.join(timeout)


def hold_job_key(conn: BoundedConnection, holder: int) -> None:
    """Mark a job's connection as the one of its worker, and end its predecessor.

    A connection that was lost on the way may still stand at the server, with rows locked. The key
    by which the keeper finds the sessions of a frozen worker is the worker's own, negated. Raises
    DatabaseUnavailable when the predecessor does not end.
    """
    conn.execute(_SQL.end_predecessor, {"key": -holder})
    for _ in range(40):
        if conn.execute(_SQL.hold, {"holder": -holder}).fetchone() == (True,):
            return
        time.sleep(0.05)
    raise DatabaseUnavailable("the former connection of this worker's job has not ended yet")
