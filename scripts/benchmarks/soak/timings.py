"""How long the statements of the hot path take, at a quiet moment and relative to a reference.

An order is placed, claimed and cooked in a transaction that is rolled back: what is measured is
what production runs, against all the history there is, and none of it stays.
"""

import http.client
import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import sample_orders
from benchmarks.environment import BenchCluster
from benchmarks.results import MeasurementFailed
from pizza.database.connection import BoundedConnection, connect
from pizza.database.queries import Queries
from pizza.orders.orders import place_order
from pizza.topology import TYPED_QUEUES

SAMPLES = 600
REFERENCE, HTTP_REFERENCE = "reference", "GET /healthz"
# What a statement of fixed size costs: a row found and written, a thousand computed.
_SETUP = """
create unlogged table if not exists soak_reference (id int primary key, n int not null)
with (fillfactor = 50);
insert into soak_reference select n, 0 from generate_series(1, 1000) n on conflict do nothing
"""
_REFERENCE = """
with u as (update soak_reference set n = n + 1 where id = %(id)s returning n)
select u.n, (select sum(i) from generate_series(1, 1000) i) from u
"""
_ID = "select id, priority from orders where number = %(number)s"
# Random ones, so that old orders are as likely as new ones.
_NUMBERS = "select number from orders order by random() limit %(limit)s"
# Read by staff and monitoring; a few samples of each.
READ_PATHS = ("/orders?status=received", "/orders", "/workers/status", "/metrics")
READ_SAMPLES = 30
_PAUSE = 0.0005
_ORDERS, _KITCHEN = Queries("restaurant/orders"), Queries("restaurant/kitchen")
_STATUS, _START, _FINISH = _ORDERS.get_status, _KITCHEN.start_cooking, _KITCHEN.finish_cooking


@dataclass
class Timings:
    """Samples by name: microseconds that passed, and of the server's processor (where known)."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, wall: float, cpu: float | None) -> None:
        """Note one sample, in seconds."""
        self.wall.setdefault(name, []).append(wall * 1e6)
        if cpu is not None:
            self.cpu.setdefault(name, []).append(cpu * 1e6)

    def wall_us(self, name: str) -> float:
        """Median of the time that passed."""
        return median(self.wall[name])

    def cpu_us(self, name: str) -> float:
        """Median of the server's processor time; of the time that passed where it is not known."""
        return median(self.cpu.get(name) or self.wall[name])

    def as_json(self) -> dict[str, dict[str, float]]:
        """All medians."""
        return {
            name: {"wall_us": round(self.wall_us(name), 1), "cpu_us": round(self.cpu_us(name), 1)}
            for name in self.wall
        }


class StatementProbe:
    """Measures on one database connection and one HTTP connection, both as old as the run.

    A long-lived connection has plans made when the tables were small; it keeps them as
    those of the restaurant's processes do.
    """

    def __init__(self, cluster: BenchCluster) -> None:
        """Connect; the first statements of all kinds are prepared."""
        self._cluster = cluster
        self._conn: BoundedConnection = connect(cluster.db_url, name="soak probe")
        for statement in _SETUP.split(";"):
            self._conn.execute(statement.encode())
        cpu = Path(f"/proc/{self._conn.info.backend_pid}/schedstat")
        self._cpu = cpu if cpu.exists() else None
        self._turn = 0

    def close(self) -> None:
        """Close the connection."""
        self._conn.close()

    def measure(self, samples: int = SAMPLES) -> Timings:
        """Take turns with all kinds, so that whatever disturbs one disturbs all."""
        timing = Timings()
        numbers = [row[0] for row in self._conn.execute(_NUMBERS.encode(), {"limit": samples})]
        port = self._cluster.port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as web:
            for turn in range(-20, samples):
                number = numbers[turn % len(numbers)]
                self._round(timing if turn >= 0 else Timings(), web, number)
            for _ in range(READ_SAMPLES):
                for path in READ_PATHS:
                    _get(timing, f"GET {path}", web, path)
        return timing

    def _round(self, timing: Timings, web: http.client.HTTPConnection, number: str) -> None:
        conn, self._turn = self._conn, self._turn + 1
        timed, first = partial(self._timed, timing), conn.fetch_first
        timed(REFERENCE, first, _REFERENCE, {"id": 1 + self._turn % 1000})
        timed("status", first, _STATUS, {"number": number})
        _get(timing, HTTP_REFERENCE, web, "/healthz")
        _get(timing, "GET status", web, f"/orders/{number}/status")
        with conn.transaction(force_rollback=True):
            placed = timed("intake", lambda: place_order(conn, sample_orders.draft()))
            id, priority = first(_ID, {"number": placed.number})
            queues = list(TYPED_QUEUES.values())
            common = {"job_id": id, "job_queues": queues, "job_reservation": None}
            common |= {"number": placed.number, "worker": "cook_1"}
            claim = common | {"job_worker_id": -secrets.randbits(60), "job_priority": priority}
            claim |= {"job_skip_priority_check": True, "cooking": timedelta()}
            started = timed("claim", first, _START, claim)
            if started[0] != "claimed" or started[5] != "cooking":
                raise MeasurementFailed(f"The probe's order could not be claimed: {started}.")
            finish = common | {"job_token": started[1], "worker": "probe"}
            finish |= {"type": placed.order_type, "more": None}
            timed("finish", first, _FINISH, finish)

    def _timed(self, timing: Timings, name: str, run: Callable[..., Any], *values: object) -> Any:
        before = self._processor()
        began = time.perf_counter()
        found = run(*values)
        wall = time.perf_counter() - began
        time.sleep(_PAUSE)  # the server's process has to rest for its time to be counted
        timing.add(name, wall, self._processor() - before if self._cpu else None)
        return found

    def _processor(self) -> float:
        """Seconds of the processor that the server's process has used; 0 where not known."""
        return int(self._cpu.read_text().split()[0]) / 1e9 if self._cpu else 0.0


def _get(timing: Timings, name: str, web: http.client.HTTPConnection, path: str) -> None:
    began = time.perf_counter()
    web.request("GET", path)
    answer = web.getresponse()
    answer.read()
    timing.add(name, time.perf_counter() - began, None)
    if answer.status != http.client.OK:
        raise MeasurementFailed(f"GET {path} was answered {answer.status}.")
