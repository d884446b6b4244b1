"""The start of an order service: it registers, and sets the capacity and the stations.

The capacity is a setting of the restaurant. An order service sets it only if no command has set it
and no other order service runs.
"""

from __future__ import annotations

import logging
import threading
import time

import psycopg

from pizza.config.settings import Settings
from pizza.database.connection import BoundedConnection, connect
from pizza.database.errors import DatabaseUnavailable
from pizza.kitchen import storage as kitchen
from pizza.orders import storage as orders
from pizza.orders.storage import CapacityDecision
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.service import ServiceThread

log = logging.getLogger(__name__)

MAX_CONCURRENT = 50
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 5.0
# The session of an order service that has just stopped ends a moment later.
_ALONE_SECONDS, _AGAIN_SECONDS = 2.0, 0.1


class OrderServiceSession(ServiceThread):
    """Holds a database session while this order service runs, so that others can detect it.

    tried: set after the first attempt to apply the settings.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("order service session")
        self.tried = threading.Event()
        self._settings = settings
        self._applied = False

    def run(self) -> None:
        """Apply the settings once the database is reachable; then hold the session."""
        while not self._stopping.is_set():
            try:
                with connect(self._settings.db_url, name=f"{self._settings.service} start") as conn:
                    self._hold(conn)
            except DatabaseUnavailable as error:
                if not self._applied:
                    log.warning("%s", error, extra={"action": "database_unavailable"})
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
                log.error(
                    "The database has no tables yet: run --setup-db",
                    extra={"action": "schema_missing"},
                )
            except psycopg.Error as error:
                if not self._applied:
                    log.error("The cap is not set", exc_info=error, extra={"action": "cap_failed"})
            finally:
                self.tried.set()
            self._stopping.wait(_RETRY_SECONDS)

    def _hold(self, conn: BoundedConnection) -> None:
        if self._applied:
            orders.register_order_service(conn)
        else:
            apply_start_settings(conn, self._settings)
        self._applied = True
        self.tried.set()
        while not self._stopping.wait(_LOOK_SECONDS):
            conn.execute("select 1")  # detects a lost connection


def apply_start_settings(conn: BoundedConnection, settings: Settings) -> None:
    """Set the limit of concurrent orders and the stations, for all processes.

    The session of `conn` counts as this order service until it ends. Logs a change of the limit,
    and a warning if --max-concurrent is not used.
    """
    wanted = MAX_CONCURRENT if settings.max_concurrent is None else settings.max_concurrent
    found = orders.initialize_capacity(conn, wanted)
    until = time.monotonic() + _ALONE_SECONDS
    while _is_put_off(found, wanted) and time.monotonic() < until:
        orders.unregister_order_service(conn)
        time.sleep(_AGAIN_SECONDS)
        found = orders.initialize_capacity(conn, wanted)
    if found.max_concurrent != found.before:
        now, before = _amount(found.max_concurrent), _amount(found.before)
        text = f"The restaurant takes {now} orders at a time, not {before} as before"
        details = {"max_concurrent": found.max_concurrent, "before": found.before}
        log_action(log.info, "max_concurrent_set", text, details)
    if settings.max_concurrent is not None and settings.max_concurrent != found.max_concurrent:
        _warn(settings.max_concurrent, found)
    kitchen.set_stations(conn, settings.stations)


def _is_put_off(found: CapacityDecision, wanted: int) -> bool:
    """Whether the limit differs from `wanted` only because another order service runs."""
    return found.max_concurrent != wanted and found.set_by is None and not found.alone


def _warn(given: int, found: CapacityDecision) -> None:
    held_by = f"{found.set_by} set that" if found.set_by else "another order service runs with that"
    text = (
        f"--max-concurrent={given} is not used: the restaurant takes "
        f"{_amount(found.max_concurrent)} orders at a time ({held_by}); "
        f"change it with `flask --app pizza kitchen max-concurrent {given}`"
    )
    details = {"given": given, "holds": found.max_concurrent, "set_by": found.set_by}
    log_action(log.warning, "max_concurrent_differs", text, details)


def _amount(limit: int) -> str:
    return str(limit) if limit else "any number of"
