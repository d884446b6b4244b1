"""Periodic work reads few rows, however many orders wait and whatever the statistics say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pizza.auth.storage import ClientRetention
from pizza.customers import personal_data
from pizza.database.connection import BoundedConnection
from pizza.kitchen import estimates
from pizza.operations import retention_storage
from pizza.orders import storage as orders
from pizza.tracking import storage as tracking

from .test_periodic_work import age, priorities, wait_in_kitchen

WAITING = 100_000
# Rows that one run may read, however many wait.
MOST_READ = 10_000
# A task that checks each waiting order reads so many rows for each.
MOST_READ_FOR_EACH = 6
KEEP = timedelta(days=30)
# The events came long ago, and tracking has not seen one of a thousand orders.
HISTORY = """
with event as (
    insert into tracking_event (event_id, order_number, sequence, new_status, changed_by,
                                occurred_at, received_at)
    select gen_random_uuid(), number, 1, 'received', 'order-service', created_at,
           now() - interval '40 days'
    from orders
), client as (
    insert into client_order (order_number, client_hash) select number, 'x' from orders
)
insert into tracking_order (order_number, sequence, status, since)
select number, 1, 'received', created_at from orders where number !~ '000$'
"""


def test_a_run_reads_the_same_few_rows_however_many_orders_wait(conn: BoundedConnection) -> None:
    # Plans are made, and kept, when next to nothing waits; statistics say that there is nothing.
    wait_in_kitchen(conn, 3)
    conn.execute("analyze message")
    clients = ClientRetention()
    moved = {"least": timedelta(seconds=30), "share": 0.25}
    bounded: dict[str, Callable[[], object]] = {
        "ageing": lambda: age(conn),
        "ageing of nobody": lambda: orders.promote_aged(
            conn, timedelta(hours=9), priority=10, by="ageing", rule=""
        ),
        "estimates": lambda: estimates.refresh_estimates(conn),
        "pace": lambda: estimates.measure_cooking_times(conn),
        "clients": lambda: clients.run(conn),
        "keys": lambda: orders.prune_idempotency_keys(conn),
        "customers": lambda: personal_data.erase_expired(conn, KEEP),
    }
    each: dict[str, Callable[[], object]] = {
        "census": lambda: tracking.insert_untracked(conn),
        "moved estimates": lambda: tracking.update_estimates(conn, **moved),
        "told estimates": lambda: tracking.notify_estimates(conn, **moved, by="tracking-service"),
        "stuck": lambda: tracking.mark_stuck(conn, 2.0, timedelta(seconds=30)),
        "stuck no more": lambda: tracking.resolve_stuck(conn),
        "history": lambda: retention_storage.prune_history(conn, KEEP),
    }
    for _ in range(8):
        for run in (bounded | each).values():
            run()
    with conn.timeout_scope(120):
        conn.execute("delete from message")
        conn.execute("delete from orders")
        conn.execute("delete from tracking_order")
        conn.execute("analyze")
        wait_in_kitchen(conn, WAITING)
        conn.execute(HISTORY)

    def rows_read() -> int:
        conn.execute("select pg_stat_force_next_flush()")
        (count,) = conn.execute(
            "select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_user_tables"
        ).fetchone()
        return int(count)

    read = {}
    for name, run in (bounded | each).items():
        before = rows_read()
        run()
        read[name] = rows_read() - before
    assert {name: read[name] for name in bounded if read[name] > MOST_READ} == {}
    assert {name: read[name] for name in each if read[name] > MOST_READ_FOR_EACH * WAITING} == {}
    assert sum(priority == 10 for priority in priorities(conn).values()) == 100
