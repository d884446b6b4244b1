"""Monitors the restaurant every few seconds: stuck orders, moved estimates, offline workers."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.kitchen import expire_workers, list_workers
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import Released
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.service import ServiceThread
from pizza.tracking import storage as tracking

log = logging.getLogger(__name__)

# Minimum overdue time before an order counts as stuck.
GRACE = timedelta(seconds=3)
_TRACK_MISSING_INTERVAL_S = 60.0
# Smaller shifts of an estimate, absolute and as a share of the remaining wait, are ignored.
_MIN_SHIFT, _MIN_SHIFT_SHARE = timedelta(seconds=5), 0.2
# Customers are notified of larger shifts only: in a rush each new order moves the estimates.
_NOTIFY_SHIFT = timedelta(seconds=30)
_BY = "tracking-service"


class OrderMonitor(ServiceThread):
    """A thread that checks orders and workers until `stop`.

    factor: an order is stuck after this multiple of its estimate. interval: seconds between checks.
    """

    def __init__(self, db_url: str, *, factor: float, interval: float, name: str) -> None:
        super().__init__("monitor")
        self._factor = factor
        self._interval = interval
        self._db = ReconnectingConnection(db_url, name=name, sleep=self._stopping.wait)
        self._tracked_at: float | None = None
        self._offline: set[str] = set()

    def run(self) -> None:
        """Check until `stop`; an error does not end the thread."""
        while not self._stopping.wait(self._interval):
            try:
                conn = self._db.connection()
                with translate_errors():
                    self.check(conn)
            except Released:
                break
            except DatabaseUnavailable as error:
                self._db.invalidate(error)
            except Exception as error:
                log.error("The monitor failed: %s", error, extra={"action": "monitor_failed"})
        self._db.close()

    def check(self, conn: BoundedConnection) -> None:
        """Check once, and log what has changed."""
        now = time.monotonic()
        due = self._tracked_at is None or now - self._tracked_at > _TRACK_MISSING_INTERVAL_S
        if due and tracking.insert_untracked(conn) < tracking.SLICE:
            self._tracked_at = now
        for order in tracking.resolve_stuck(conn):
            _log_recovered(order)
        for number, moment in tracking.update_estimates(conn, _MIN_SHIFT, _MIN_SHIFT_SHARE):
            _log_estimate(number, moment, "estimate_moved")
        for number, moment in tracking.notify_estimates(conn, _NOTIFY_SHIFT, _MIN_SHIFT_SHARE, _BY):
            _log_estimate(number, moment, "estimate_notified")
        for order in tracking.mark_stuck(conn, self._factor, GRACE):
            _log_stuck(order)
        self._check_workers(conn)

    def _check_workers(self, conn: BoundedConnection) -> None:
        for name in expire_workers(conn):
            self._offline.add(name)
            log_action(
                log.warning, "worker_offline", f"Worker {name} is gone", {"worker_name": name}
            )
        if not self._offline:
            return
        online = {each.name for each in list_workers(conn) if each.status == "online"}
        for name in sorted(self._offline & online):
            log_action(log.info, "worker_online", f"Worker {name} is back", {"worker_name": name})
        self._offline -= online


def _log_stuck(order: tracking.StuckOrder) -> None:
    doing = "waiting" if order.status == "received" else order.status
    text = f"Order has been {doing} for {order.seconds:.0f} s, far longer than estimated"
    details = {"status": order.status, "seconds": round(order.seconds, 1)}
    log_action(log.warning, "order_stuck", text, details, order_number=order.number)


def _log_estimate(number: str, moment: datetime, action: str) -> None:
    ready = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = "Order is expected to be ready at another time"
    if action == "estimate_notified":
        text = "Customer notified that the order will be ready at another time"
    log_action(log.info, action, text, {"estimated_completion": ready}, order_number=number)


def _log_recovered(order: tracking.StuckOrder) -> None:
    text = f"Order was stuck in '{order.status}' and is '{order.now}' now"
    details = {"was": order.status, "status": order.now, "seconds": round(order.seconds, 1)}
    log_action(log.info, "order_recovered", text, details, order_number=order.number)
