"""The books: what the database says of orders, and whether it adds up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from .conditions import eventually

RECEIVED, COOKING, READY = "received", "cooking", "ready"

_LOG = """
select o.number, l.status, l.changed_by, l.changed_at, l.notes, l.sequence
from order_status_log l join orders o on o.id = l.order_id
order by l.changed_at, l.sequence
"""
_COOKED_BY = """
select w.name, w.orders_processed,
       (select count(*) from order_status_log l
        where l.status = 'ready' and l.changed_by = w.name) as ready
from workers w order by w.name
"""
_PLACES = """
select sum(share)::int as share, sum(free)::int as free,
       (select count(*) from orders where status in ('received', 'cooking')) as taken
from kitchen_capacity
"""
_FORGET = "truncate orders, order_items, order_status_log, workers, message cascade"


@dataclass(frozen=True)
class LogRow:
    """One row of order_status_log."""

    number: str
    status: str
    changed_by: str
    changed_at: datetime
    notes: str | None
    sequence: int


class OrderLedger:
    """Reads the database of one restaurant; connects anew whenever the server was away."""

    def __init__(self, db_url: str) -> None:
        self._db_url = db_url
        self._conn: psycopg.Connection[dict[str, Any]] | None = None

    def rows(self, query: LiteralString, *parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query, as dictionaries; asked again if the connection was cut."""
        try:
            return self._connected().execute(query, parameters).fetchall()
        except psycopg.OperationalError:
            self.close()
            return self._connected().execute(query, parameters).fetchall()

    def _connected(self) -> psycopg.Connection[dict[str, Any]]:
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(
                self._db_url, autocommit=True, row_factory=dict_row, connect_timeout=10
            )
        return self._conn

    def orders(self) -> dict[str, dict[str, Any]]:
        """All orders by number, oldest first."""
        rows = self.rows("select * from orders order by created_at, number")
        return {row["number"]: row for row in rows}

    def log(self, number: str | None = None) -> list[LogRow]:
        """The log of all orders, or of one, oldest row first."""
        rows = (LogRow(**row) for row in self.rows(_LOG))
        return [row for row in rows if number in (None, row.number)]

    def cookings(self) -> list[LogRow]:
        """The starts of cooking, oldest first."""
        return [row for row in self.log() if row.status == COOKING]

    def count(self, status: str) -> int:
        """How many orders have a status."""
        query = "select count(*)::int as n from orders where status = %s"
        return int(self.rows(query, status)[0]["n"])

    def wait_for(self, status: str, numbers: Collection[str], seconds: float) -> None:
        """Wait until all these orders have a status."""
        query = "select count(*)::int as n from orders where status = %s and number = any(%s)"

        def all_there() -> bool:
            return bool(self.rows(query, status, list(numbers))[0]["n"] == len(numbers))

        eventually(all_there, seconds, f"{len(numbers)} orders are {status}")

    # -- adding up --------------------------------------------------------------------

    def check_all_ready(self) -> None:
        """Nothing is lost, nothing is doubled, every figure is exact, nothing is left over."""
        log = self.log()
        for number, order in self.orders().items():
            check_order(order, [row for row in log if row.number == number])
        for worker in self.rows(_COOKED_BY):
            assert worker["orders_processed"] == worker["ready"], worker
        places = self.rows(_PLACES)[0]
        assert places["free"] == places["share"] - places["taken"], places
        eventually(lambda: not self.rows("select * from message"), 5, "the outbox is empty")

    def forget(self) -> None:
        """Begin a new page: no orders, no workers, no messages.

        Gives way to whoever reads these tables meanwhile, before the server sees a deadlock in it.
        """
        with psycopg.connect(self._db_url, autocommit=True) as conn:
            conn.execute("set lock_timeout = '300ms'")
            eventually(lambda: _truncated(conn), 10, "the tables are nobody's for a moment")
            conn.execute("update kitchen_capacity set free = share")

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()


def _truncated(conn: psycopg.Connection[Any]) -> bool:
    try:
        conn.execute(_FORGET)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        return False
    return True


def check_order(order: dict[str, Any], log: Sequence[LogRow]) -> None:
    """One `received`, one `ready`, and a second cook only where he took over from the first."""
    statuses = [row.status for row in log]
    cookings = [row for row in log if row.status == COOKING]
    assert statuses == [RECEIVED, *[COOKING] * len(cookings), READY], (order, log)
    assert [row.sequence for row in log] == list(range(1, len(log) + 1)), log
    assert cookings[0].notes is None, log
    for before, after in pairwise(cookings):
        assert after.notes == f"taken over from {before.changed_by}", log
    last, ready = log[-2:]
    assert order["status"] == READY, order
    assert order["processed_by"] == last.changed_by == ready.changed_by, (order, log)
    assert order["started_at"] == last.changed_at, (order, log)
    assert order["completed_at"] == ready.changed_at, (order, log)
