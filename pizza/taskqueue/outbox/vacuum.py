"""Vacuums the message table under load, whatever the server's autovacuum settings are.

Each message leaves a few dead rows and index entries, which slow down the search for the next
message. Autovacuum runs once a minute at most; by then a busy table has hundreds of thousands. So
the leader vacuums the table by the number of dead rows.
"""

import logging
import threading
import time
from collections.abc import Callable

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.queries import Queries

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/keeper")

INTERVAL_S = 2.0
# A query over so many takes tens of microseconds more; a vacuum of them tens of milliseconds.
DEAD_ROW_THRESHOLD = 10_000
# The largest share of the time, also while a long transaction keeps all rows visible.
_MAX_DUTY_CYCLE = 0.1
_TIMEOUT_S = 300.0
_AFTER_FAILURE_S = 60.0
_NO_PERMISSION = (
    "The role of this process may not vacuum the table `message`, which slows down under load. "
    "Let the same role own the tables that --setup-db makes, or grant it that role"
)


class Vacuum:
    """Runs in a background thread of the keeper. threshold: dead rows that start a vacuum."""

    def __init__(self, db_url: str, threshold: int = DEAD_ROW_THRESHOLD) -> None:
        self._db_url = db_url
        self._threshold = threshold
        self._next_at = 0.0
        self._thread: threading.Thread | None = None

    def maybe_run(self, conn: BoundedConnection, log_throttled: Callable[[str, str], None]) -> None:
        """Start a vacuum in its own thread if there are enough dead rows."""
        if time.monotonic() < self._next_at or (self._thread and self._thread.is_alive()):
            return
        self._next_at = time.monotonic() + INTERVAL_S
        row = conn.execute(_SQL.count_dead_rows).fetchone()
        if row is None or row[0] < self._threshold:
            return
        if not row[1]:
            log_throttled("vacuum", _NO_PERMISSION)
            self._next_at = time.monotonic() + _AFTER_FAILURE_S
            return
        self._thread = threading.Thread(target=self.run, name="vacuum", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> None:
        """Wait for a running vacuum, at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def run(self) -> None:
        """Vacuum now, on a new connection; errors are logged."""
        began = time.monotonic()
        pause = 0.0
        try:
            with connect(self._db_url, name="vacuum") as conn, translate_errors():
                conn.statement_timeout = _TIMEOUT_S
                conn.execute(_SQL.vacuum_messages)
        except Exception as error:
            log.warning("Vacuum failed: %s", error, extra={"action": "vacuum_failed"})
            pause = _AFTER_FAILURE_S
        ended = time.monotonic()
        self._next_at = ended + max(pause, (ended - began) / _MAX_DUTY_CYCLE)
