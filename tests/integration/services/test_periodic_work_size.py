"""Periodic work reads a bounded number of rows, however many orders wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pizza.auth.storage import ClientRetention
from pizza.database.connection import BoundedConnection
from pizza.kitchen import estimates
from pizza.orders import storage as orders

from .test_periodic_work import age, priorities, wait_in_kitchen

WAITING = 100_000
# Rows that one run may read, however many wait.
MOST_READ = 10_000


def test_a_run_reads_the_same_few_rows_however_many_orders_wait(conn: BoundedConnection) -> None:
    # Plans are made, and kept, when next to nothing waits.
    wait_in_kitchen(conn, 3)
    conn.execute("analyze message")
    clients = ClientRetention()
    runs: dict[str, Callable[[], object]] = {
        "ageing": lambda: age(conn),
        "ageing of nobody": lambda: orders.age(
            conn, timedelta(hours=9), priority=10, by="ageing", rule=""
        ),
        "estimates": lambda: estimates.refresh(conn),
        "pace": lambda: estimates.measure_pace(conn),
        "clients": lambda: clients.run(conn),
    }
    for _ in range(8):
        for run in runs.values():
            run()
    with conn.within(120):
        conn.execute("delete from message")
        conn.execute("delete from orders")
        wait_in_kitchen(conn, WAITING)
        conn.execute("insert into order_client select number, 'x' from orders")

    def rows_read() -> int:
        conn.execute("select pg_stat_force_next_flush()")
        (count,) = conn.execute(
            """select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_user_tables
               where relname in ('message', 'orders', 'order_client')"""
        ).fetchone()
        return int(count)

    read = {}
    for name, run in runs.items():
        before = rows_read()
        run()
        read[name] = rows_read() - before
    assert {name: count for name, count in read.items() if count > MOST_READ} == {}
    assert sum(priority == 10 for priority in priorities(conn).values()) == 100
