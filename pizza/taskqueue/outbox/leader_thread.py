"""A thread of the leader beside the one that publishes, with a database connection of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import psycopg

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.taskqueue.retry import Backoff

log = logging.getLogger(__name__)

# A failure that stays is logged again after so long.
_SAY_AGAIN_S = 60.0


class LeaderThread(threading.Thread):
    """Works from `start` to `stop`; connects again whenever the database was away."""

    def __init__(self, db_url: str, *, name: str, title: str) -> None:
        """name: of the thread; title: shown as application_name."""
        super().__init__(name=name, daemon=True)
        self._db_url = db_url
        self._title = title
        self._ending = threading.Event()
        self._said: dict[str, float] = {}

    def stop(self, timeout: float) -> None:
        """Stop. Waits up to `timeout` seconds."""
        self._ending.set()
        if timeout > 0 and self.is_alive():
            self.join(timeout)

    def run(self) -> None:
        """Work until `stop`."""
        backoff = Backoff()
        away = False
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                with connect(self._db_url, name=self._title) as conn, translate_errors():
                    away = False
                    self.work(conn)
            except (DatabaseUnavailable, psycopg.DatabaseError) as error:
                if not away:
                    log.warning("%s: %s", self.name, error, extra={"action": "database_lost"})
                away = True
            except Exception:
                log.exception(
                    "%s failed; starting over", self.name, extra={"action": "keeper_failed"}
                )
            if time.monotonic() - began > Backoff.LONGEST_S:
                backoff.reset()
            self._ending.wait(backoff.next())

    def work(self, conn: BoundedConnection) -> None:
        """Do it until `stop`, on this connection."""
        raise NotImplementedError

    def attempt(self, what: str, conn: BoundedConnection, step: Callable[[], object]) -> None:
        """Run one step. A failure is logged at a bounded rate and hinders no other step.

        Raises what has broken the connection, and BrokerUnavailable.
        """
        try:
            step()
        except psycopg.Error as error:
            if conn.closed:
                raise
            self.say(what, f"{what} failed, tried again: {str(error).splitlines()[0]}")

    def say(self, about: str, text: str) -> None:
        """Log a warning, but not about the same within a minute."""
        now = time.monotonic()
        if now - self._said.get(about, -_SAY_AGAIN_S) >= _SAY_AGAIN_S:
            self._said[about] = now
            log.warning("%s", text, extra={"action": "keeper_failed", "details": {"about": about}})
