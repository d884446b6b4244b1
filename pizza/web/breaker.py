"""Keeps requests from queueing up behind a database that does not answer.

A hung server costs each request its whole time-out, and the threads are few: the last client in
the queue would wait for ten others. So after one slow failure a single request at a time tries the
database, and the others are refused after a moment, until one gets through.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pizza.database.errors import DatabaseUnavailable
from pizza.web.backend import Connections

log = logging.getLogger(__name__)

# A connection that was cut fails at once, and says nothing about the server: the next one works.
_SLOW_SECONDS = 0.4
# As long as the one that tries may take when all is well again.
_MOMENT_SECONDS = 0.1


class Breaker:
    """A pool of connections that stops handing them out while the server is away."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self._broken = False
        self._trying = threading.Lock()

    @contextmanager
    def connection(self, timeout: float = 1.0) -> Iterator[Any]:
        """Lend a connection; raises DatabaseUnavailable, soon while the server is away."""
        if not self._broken:
            with self._watched(timeout) as conn:
                yield conn
            return
        if not self._trying.acquire(timeout=_MOMENT_SECONDS):
            raise DatabaseUnavailable("PostgreSQL does not answer")
        try:
            with self._watched(timeout) as conn:
                yield conn
            if self._broken:
                self._broken = False
                log.info("Database answers again", extra={"action": "database_back"})
        finally:
            self._trying.release()

    @contextmanager
    def _watched(self, timeout: float) -> Iterator[Any]:
        started = time.monotonic()
        try:
            with self._pool.connection(timeout=timeout) as conn:
                yield conn
        except DatabaseUnavailable as error:
            log.warning("%s", error, extra={"action": "database_unavailable"})
            if time.monotonic() - started > _SLOW_SECONDS:
                self._broken = True
            raise
