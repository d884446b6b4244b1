"""A circuit breaker for the database: requests fail at once while it does not respond.

With a hung server each request waits for its whole timeout, and the slots are few: the last client
in the queue would wait for ten others. So after one slow failure all requests fail at once, while
one thread of this process probes the database until it responds.
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

# A lost connection fails at once, and does not mean that the server is unavailable.
_SLOW_SECONDS = 0.4
# Timeout of one probe, and the pause between two.
_PROBE_SECONDS = 0.5
_PAUSE_SECONDS = 0.1


class Breaker:
    """A pool that lends no connections while the server is unavailable. Thread-safe."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self._is_open = False
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, timeout: float = 1.0) -> Iterator[Any]:
        """Lend a connection. Raises DatabaseUnavailable, at once while the breaker is open."""
        if self._is_open:
            raise DatabaseUnavailable("PostgreSQL does not answer")
        started = time.monotonic()
        try:
            with self._pool.connection(timeout=timeout) as conn:
                yield conn
        except DatabaseUnavailable as error:
            log.warning("%s", error, extra={"action": "database_unavailable"})
            slow = time.monotonic() - started > _SLOW_SECONDS
            # A transient error comes from a reachable server: a deadlock takes a second.
            if slow and not isinstance(error, DatabaseTransientError):
                self._open()
            raise

    def _open(self) -> None:
        with self._lock:
            if self._is_open:
                return
            self._is_open = True
        threading.Thread(target=self._probe_until_available, name="breaker", daemon=True).start()

    def _probe_until_available(self) -> None:
        while not self._probe():
            time.sleep(_PAUSE_SECONDS)
        self._is_open = False
        log.info("Database answers again", extra={"action": "database_back"})

    def _probe(self) -> bool:
        try:
            with self._pool.connection(timeout=_PROBE_SECONDS) as conn:
                conn.execute("select 1")
        except DatabaseUnavailable:
            return False
        except Exception as error:
            # The errors of requests then say more than an open breaker.
            log.warning("The probe of the database failed unexpectedly", exc_info=error)
        return True
