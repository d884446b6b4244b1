"""Keeps the table of messages small under load, however the server's autovacuum is set.

Each message leaves a few dead rows and index entries behind, and whoever looks for the next one
passes over them. Autovacuum comes once a minute at most; by then a busy table has hundreds of
thousands. So the leading relay's process has it vacuumed by their number.
"""

from __future__ import annotations

import logging
import threading
import time

from pizza.database.connection import BoundedConnection, available, connect
from pizza.database.queries import Queries

log = logging.getLogger(__name__)

_SQL = Queries("relay")
_DEAD, _VACUUM = _SQL.dead, _SQL.vacuum

# Passing over so many costs some tens of microseconds; vacuuming them some tens of milliseconds.
ENOUGH = 10_000
# At most this share of the time goes to it, also while a long transaction keeps all rows alive.
_SHARE = 0.1
_LONGEST_S = 300.0
_AFTER_FAILURE_S = 60.0


class Vacuum:
    """A chore: `app.every(2, "vacuum")(Vacuum(db_url).look)`."""

    def __init__(self, db_url: str, enough: int = ENOUGH) -> None:
        """`enough`: how many dead rows it takes."""
        self._db_url = db_url
        self._enough = enough
        self._rested = 0.0
        self._thread: threading.Thread | None = None

    def look(self, conn: BoundedConnection) -> None:
        """Begin to vacuum, in the background, if there is enough to do."""
        if time.monotonic() < self._rested or (self._thread and self._thread.is_alive()):
            return
        row = conn.execute(_DEAD).fetchone()
        if row is not None and row[0] >= self._enough:
            self._thread = threading.Thread(target=self.run, name="vacuum", daemon=True)
            self._thread.start()

    def wait(self, timeout: float) -> None:
        """Wait until what was begun has ended, at most so many seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def run(self) -> None:
        """Vacuum now, on a connection of its own; what goes wrong is logged."""
        began = time.monotonic()
        rest = 0.0
        try:
            with connect(self._db_url, name="vacuum") as conn, available():
                conn.limit = _LONGEST_S
                conn.execute(_VACUUM)
        except Exception as error:
            log.warning("Vacuum failed: %s", error, extra={"action": "vacuum_failed"})
            rest = _AFTER_FAILURE_S
        ended = time.monotonic()
        self._rested = ended + max(rest, (ended - began) / _SHARE)
