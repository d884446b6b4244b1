"""Keeps requests from queueing up behind a database that does not answer.

A hung server costs each request its whole time-out, and the threads are few: the last client in
the queue would wait for ten others. So after one slow failure all requests are refused at once,
while one thread of this process tries the database until it answers again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.web.dependencies import Connections

log = logging.getLogger(__name__)

# A connection that was cut fails at once, and says nothing about the server: the next one works.
_SLOW_SECONDS = 0.4
# How long one try may take, and what lies between two.
_TRY_SECONDS = 0.5
_PAUSE_SECONDS = 0.1


class Breaker:
    """A pool of connections that stops handing them out while the server is away."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self._broken = False
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, timeout: float = 1.0) -> Iterator[Any]:
        """Lend a connection; raises DatabaseUnavailable, at once while the server is away."""
        if self._broken:
            raise DatabaseUnavailable("PostgreSQL does not answer")
        started = time.monotonic()
        try:
            with self._pool.connection(timeout=timeout) as conn:
                yield conn
        except DatabaseUnavailable as error:
            log.warning("%s", error, extra={"action": "database_unavailable"})
            slow = time.monotonic() - started > _SLOW_SECONDS
            # Who refuses is there: a deadlock takes a second, and is one request's alone.
            if slow and not isinstance(error, DatabaseTransientError):
                self._break()
            raise

    def _break(self) -> None:
        with self._lock:
            if self._broken:
                return
            self._broken = True
        threading.Thread(target=self._try_until_it_answers, name="breaker", daemon=True).start()

    def _try_until_it_answers(self) -> None:
        while not self._answers():
            time.sleep(_PAUSE_SECONDS)
        self._broken = False
        log.info("Database answers again", extra={"action": "database_back"})

    def _answers(self) -> bool:
        try:
            with self._pool.connection(timeout=_TRY_SECONDS) as conn:
                conn.execute("select 1")
        except DatabaseUnavailable:
            return False
        except Exception as error:
            # Whatever a request then hears tells more than a door that stays shut.
            log.warning("The database answers, but oddly", exc_info=error)
        return True
