"""Whether this program can use the database as it is set up, asked when a process starts."""

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
    """Asks the database once; while that is away its thread asks again.

    problem: the sentence that says why the database cannot be used; None until that is known. The
    thread then ends the process by SIGTERM, in good order.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="start check", daemon=True)
        self.problem: str | None = None
        self._settings = settings
        self._end = threading.Event()

    def passes(self) -> bool:
        """Ask for the first time. A database that is away passes, and is asked by the thread."""
        if self._settings.db_url and not self._answered():
            self.start()
        return self.problem is None

    def stop(self) -> None:
        """Ask no more."""
        self._end.set()

    def run(self) -> None:
        """Ask until there is an answer, or `stop`."""
        backoff = Backoff()
        while not self._end.wait(backoff.next()):
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
            self.problem = self._sentence(str(error))
            log.error("%s", self.problem, extra={"action": "database_unsupported"})
            return True
        except DatabaseUnavailable:
            return False
        return True

    def _sentence(self, problem: str) -> str:
        if self._settings.mode == _ORDER_SERVICE and problem == TRANSACTION_MODE:
            problem = f"{problem}; HTTP requests may use this one (--db-pool)"
        return f"{problem}."
