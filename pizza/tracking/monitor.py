"""Looking after the restaurant every few seconds: stuck orders, moved estimates, gone workers."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.kitchen import worker_storage
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import Released
from pizza.tracking import storage as tracking

log = logging.getLogger(__name__)

# Nobody calls an order stuck before so long, however little was estimated.
GRACE = timedelta(seconds=3)
_CENSUS_S = 60.0
# An estimate that moved by less, absolutely or of the wait that is left, is no news.
_MOVED, _MOVED_SHARE = timedelta(seconds=5), 0.2
# Guests are told of less: in a rush an estimate moves with every order that comes.
_TOLD = timedelta(seconds=30)
_BY = "tracking-service"


class Watch(threading.Thread):
    """Looks in the background until `stop`.

    factor: an order is stuck that has waited or cooked for so many times its estimate.
    interval: seconds between looks.
    """

    def __init__(self, db_url: str, *, factor: float, interval: float, name: str) -> None:
        super().__init__(name="watch", daemon=True)
        self._factor = factor
        self._interval = interval
        self._ending = threading.Event()
        self._line = ReconnectingConnection(db_url, name=name, sleep=self._ending.wait)
        self._counted: float | None = None
        self._gone: set[str] = set()

    def stop(self, timeout: float) -> None:
        """Stop. Waits up to `timeout` seconds."""
        self._ending.set()
        if self.is_alive():
            self.join(timeout)

    def run(self) -> None:
        """Look, until `stop`; whatever goes wrong, the next look comes."""
        while not self._ending.wait(self._interval):
            try:
                conn = self._line.connection()
                with translate_errors():
                    self.look(conn)
            except Released:
                break
            except DatabaseUnavailable as error:
                self._line.invalidate(error)
            except Exception as error:
                log.error("The watch failed: %s", error, extra={"action": "watch_failed"})
        self._line.close()

    def look(self, conn: BoundedConnection) -> None:
        """Look once, and say what is new."""
        now = time.monotonic()
        due = self._counted is None or now - self._counted > _CENSUS_S
        if due and tracking.census(conn) < tracking.SLICE:
            self._counted = now
        for order in tracking.no_longer_stuck(conn):
            _moved_on(order)
        for number, moment in tracking.moved_estimates(conn, _MOVED, _MOVED_SHARE):
            _estimate(number, moment, "estimate_moved")
        for number, moment in tracking.tell_estimates(conn, _TOLD, _MOVED_SHARE, _BY):
            _estimate(number, moment, "estimate_told")
        for order in tracking.newly_stuck(conn, self._factor, GRACE):
            _stuck(order)
        self._look_for_workers(conn)

    def _look_for_workers(self, conn: BoundedConnection) -> None:
        for name in worker_storage.mark_the_dead(conn):
            self._gone.add(name)
            log.warning(
                "Worker %s is gone", name,
                extra={"action": "worker_offline", "details": {"worker_name": name}},
            )  # fmt: skip
        if not self._gone:
            return
        online = {each.name for each in worker_storage.status(conn) if each.status == "online"}
        for name in sorted(self._gone & online):
            log.info(
                "Worker %s is back", name,
                extra={"action": "worker_online", "details": {"worker_name": name}},
            )  # fmt: skip
        self._gone -= online


def _stuck(order: tracking.StuckOrder) -> None:
    doing = "waiting" if order.status == "received" else order.status
    log.warning(
        "Order has been %s for %.0f s, far longer than estimated", doing, order.seconds,
        extra={
            "action": "order_stuck",
            "order_number": order.number,
            "details": {"status": order.status, "seconds": round(order.seconds, 1)},
        },
    )  # fmt: skip


def _estimate(number: str, moment: datetime, action: str) -> None:
    ready = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    log.info(
        "Order is expected to be ready at another time"
        if action == "estimate_moved"
        else "Its guest is told that the order will be ready at another time",
        extra={
            "action": action,
            "order_number": number,
            "details": {"estimated_completion": ready},
        },
    )


def _moved_on(order: tracking.StuckOrder) -> None:
    log.info(
        "Order was stuck in '%s' and is '%s' now", order.status, order.now,
        extra={
            "action": "order_unstuck",
            "order_number": order.number,
            "details": {"was": order.status, "status": order.now,
                        "seconds": round(order.seconds, 1)},
        },
    )  # fmt: skip
