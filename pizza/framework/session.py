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

from pizza.database.connection import BoundedConnection, available, connect
from pizza.database.errors import DatabaseRefused, DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.framework.errors import SessionRefused
from pizza.framework.job import Bench
from pizza.framework.lifecycle import Stop, readable
from pizza.framework.retry import Backoff

log = logging.getLogger(__name__)

_SQL = Queries("framework")
_HOLD, _RENEW = _SQL.hold, _SQL.renew

BEAT_S = 30.0
_TICK_S = 0.5


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
    """Holds the lock, renews the lease of the job in hand, and beats, in a thread of its own.

    present: set while the lock is held and the roster has let the worker in.
    refused: the roster's sentence, once it has refused the worker's first entry.
    """

    def __init__(self, db_url: str, name: str, bench: Bench, roster: Roster, stop: Stop) -> None:
        super().__init__(name="session", daemon=True)
        self.present = threading.Event()
        self.refused: str | None = None
        self._entered = False
        self._db_url = db_url
        self._application = f"{name} session"
        self._bench = bench
        self._roster = roster
        self._worker_stop = stop
        self._end = threading.Event()

    def run(self) -> None:
        """Until `close`: be present; come back whenever the database does."""
        backoff = Backoff()
        away = False
        while not self._end.is_set() and self.refused is None:
            try:
                with connect(self._db_url, name=self._application) as conn, available():
                    self._enter(conn)
                    backoff.reset()
                    if away:
                        away = False
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
                log.warning("Worker cannot be present: %s", error, extra={"action": "session_lost"})
                away = True
                self._end.wait(backoff.next())

    def _enter(self, conn: BoundedConnection) -> None:
        for _ in range(20):
            # Somebody who just asks whether we live holds the key for a moment.
            if conn.execute(_HOLD, {"holder": self._bench.holder}).fetchone() == (True,):
                break
            time.sleep(0.05)
        else:
            raise DatabaseUnavailable("the former session of this worker has not ended yet")
        # What a withdrawn job's worker is told by (see message_withdraw).
        conn.execute(f"listen claim_{self._bench.holder}")
        self._roster.enter(conn)
        self._entered = True
        self.present.set()
        self._worker_stop.wake.set()

    def _live(self, conn: BoundedConnection) -> None:
        lease = self._bench.lease.total_seconds()
        beaten = renewed = time.monotonic()
        refused = False
        while not self._end.wait(_TICK_S):
            now = time.monotonic()
            try:
                with available():
                    # Something to read while nothing was asked: the end of the connection, or the
                    # news that the message in hand was withdrawn.
                    if now - renewed >= lease / 3 or readable([conn], 0):
                        self._renew(conn)
                        renewed = now
                    if now - beaten >= BEAT_S:
                        self._roster.beat(conn)
                        beaten = now
                    refused = False
            except DatabaseRefused as error:
                # The lock stands, so nobody takes the worker for dead; what was refused is tried
                # at the next tick.
                if not refused:
                    log.warning("Lease not renewed: %s", error, extra={"action": "lease_refused"})
                refused, renewed = True, now - lease
        self._roster.leave(conn)

    def _renew(self, conn: BoundedConnection) -> None:
        held = self._bench.held
        if held is None:
            conn.execute("select 1")  # to learn of a lost connection while there is no job
            return
        id, token = held
        row = conn.execute(
            _RENEW,
            {"id": id, "token": token, "holder": self._bench.holder, "lease": self._bench.lease},
        ).fetchone()
        for note in conn.notifies(timeout=0):
            if note.payload == str(id):
                self._bench.withdrawn = id
        if row is None and self._bench.held == held:
            self._bench.lost.set()
            self._bench.interrupt.set()

    def close(self, timeout: float) -> None:
        """Leave: the roster is told, the lock freed. Waits up to `timeout` seconds."""
        self._end.set()
        if self.is_alive():
            self.join(timeout)
