"""Base class of the leader's helper threads, each with its own database connection."""

import logging
import time
from collections.abc import Callable

import psycopg

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.taskqueue.logs import LogThrottle, log_action
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.service import ServiceThread

log = logging.getLogger(__name__)


class LeaderThread(ServiceThread):
    """Works from `start` to `stop`; reconnects after the database was unavailable."""

    def __init__(self, db_url: str, *, name: str, title: str) -> None:
        """name: of the thread; title: shown as application_name."""
        super().__init__(name)
        self._db_url = db_url
        self._title = title
        self._throttle = LogThrottle()

    def run(self) -> None:
        """Work until `stop`."""
        backoff = Backoff()
        away = False
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                with connect(self._db_url, name=self._title) as conn, translate_errors():
                    away = False
                    self.work(conn)
            except (DatabaseUnavailable, psycopg.DatabaseError) as error:
                if not away:
                    log.warning("%s: %s", self.name, error, extra={"action": "database_lost"})
                away = True
            except Exception as error:
                text = f"{self.name} failed; starting over"
                log_action(log.error, "keeper_failed", text, error=error)
            self._stopping.wait(backoff.next(began))

    def work(self, conn: BoundedConnection) -> None:
        """The thread's loop on one connection; returns after `stop`."""
        raise NotImplementedError

    def attempt(self, what: str, conn: BoundedConnection, step: Callable[[], object]) -> None:
        """Run one step. An error of the database is logged (throttled), so other steps can run.

        Raises errors that have broken the connection, and BrokerUnavailable.
        """
        try:
            step()
        except psycopg.Error as error:
            if conn.closed:
                raise
            self.log_throttled(what, f"{what} failed, tried again: {str(error).splitlines()[0]}")

    def log_throttled(self, about: str, text: str) -> None:
        """Log a warning, at most once a minute for the same `about`."""
        if self._throttle.is_due(about):
            log_action(log.warning, "keeper_failed", text, {"about": about})
