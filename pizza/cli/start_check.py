"""Check at the start of a process that it can use the database as it is set up."""

from __future__ import annotations

import logging
import os
import signal
import threading

from pizza.config.settings import Settings
from pizza.database.connection import check_connection
from pizza.database.errors import DatabaseUnavailable, DatabaseUnsupported
from pizza.database.poolers import TRANSACTION_MODE
from pizza.taskqueue.retry import Backoff

log = logging.getLogger(__name__)

_ORDER_SERVICE = "order-service"


class StartCheck(threading.Thread):
    """Checks the database once; its thread repeats the check while the server is unavailable.

    problem: a sentence why the database cannot be used; None while there is no reason. The thread
    sends this process SIGTERM when it finds one.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="start check", daemon=True)
        self.problem: str | None = None
        self._settings = settings
        self._stopped = threading.Event()

    def passes(self) -> bool:
        """Check once. An unavailable database passes, and the thread checks it again."""
        if self._settings.db_url and not self._answered():
            self.start()
        return self.problem is None

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    def run(self) -> None:
        """Check until the server answers, or `stop`."""
        backoff = Backoff()
        while not self._stopped.wait(backoff.next()):
            if self._answered():
                if self.problem is not None:
                    os.kill(os.getpid(), signal.SIGTERM)
                return

    def _answered(self) -> bool:
        settings = self._settings
        name = f"{settings.service} check"
        try:
            check_connection(settings.db_url, name=name)
            if settings.mode == _ORDER_SERVICE and settings.db_pool is not None:
                check_connection(settings.db_pool, name=name, pooled=True)
        except DatabaseUnsupported as error:
            problem = str(error)
            if settings.mode == _ORDER_SERVICE and problem == TRANSACTION_MODE:
                problem = f"{problem}; HTTP requests may use this one (--db-pool)"
            self.problem = f"{problem}."
            log.error("%s", self.problem, extra={"action": "database_unsupported"})
            return True
        except DatabaseUnavailable:
            return False
        return True
