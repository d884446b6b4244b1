"""No statement that runs all the time reads a table from end to end, however much is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from devservices import Postgres
from pizza.database.connection import BoundedConnection, connect
from pizza.database.queries import Queries
from pizza.domain.order import IdempotencyKey, OrderDraft, OrderItem
from pizza.kitchen import estimates, worker_storage
from pizza.operations import retention_storage
from pizza.orders import set_capacity
from pizza.orders import storage as orders
from pizza.orders.orders import (
    get_order,
    list_orders,
    order_history,
    order_status,
    place_order,
)
from pizza.reports import storage as reports
from pizza.taskqueue.outbox.keeper import Stager
from pizza.taskqueue.outbox.rescuer import Rescuer
from pizza.tracking import storage as tracking

from ...support.order_events import status_message
from ...support.order_history import fill

ORDERS = 6000
NUMBER = "ORD_20200101_003000"
KITCHEN, RELAY, KEEPER = (
    Queries("restaurant/kitchen"),
    Queries("taskqueue/relay"),
    Queries("taskqueue/keeper"),
)
HISTORY = {
    "orders", "order_items", "order_status_log", "order_stage", "idempotency_key", "tracking_event",
    "tracking_order", "notification_delivery", "inbox_message", "message",
}  # fmt: skip


@pytest.fixture(scope="module")
def conn(postgres: Postgres, _template: str) -> Iterator[BoundedConnection]:
    """A restaurant with a history; what a test changes in it is for all."""
    url = postgres.create_database("test_load_held", template=_template)
    with connect(url, name="test") as open_connection:
        fill(open_connection, ORDERS)
        set_capacity(open_connection, 0)
        yield open_connection
    postgres.drop_database("test_load_held")


def read_whole(conn: BoundedConnection, work: Callable[[BoundedConnection], object]) -> set[str]:
    """The tables that `work` has read from end to end."""

    def scans() -> dict[str, int]:
        conn.execute("select pg_stat_force_next_flush()")
        return dict(conn.execute("select relname, seq_scan from pg_stat_user_tables").fetchall())

    before = scans()
    work(conn)
    return {name for name, count in scans().items() if count > before[name]}


def draft() -> OrderDraft:
    return OrderDraft("Guest 77", (OrderItem("Pizza", 1, Decimal("15.99")),), order_type="takeout")


def cook(conn: BoundedConnection) -> None:
    """Place an order, claim it, cook it."""
    placed = place_order(conn, draft(), key=IdempotencyKey(str(uuid4()), b"digest"))
    row = conn.execute("select id from orders where number = %s", [placed.number]).fetchone()
    assert row is not None
    job: dict[str, Any] = {
        "job_id": row[0], "job_worker_id": 5, "job_skip_priority_check": True,
        "job_queues": ["kitchen_takeout_queue", "kitchen_queue"], "job_reservation": None,
        "job_priority": placed.priority, "number": placed.number, "worker": "chef_1",
        "cooking": timedelta(), "type": "takeout", "more": None,
    }  # fmt: skip
    started = conn.execute(KITCHEN.start_cooking, job).fetchone()
    assert started is not None and started[0] == "claimed"
    finished = conn.execute(KITCHEN.finish_cooking, job | {"job_token": started[1]}).fetchone()
    assert finished is not None and finished[2] == "ready"


def relay(conn: BoundedConnection) -> None:
    """What the publisher and its keeper ask all the time."""
    look: dict[str, Any] = {"limit": 500, "asleep": False, "bytes": 10**6, "unmarked": []}
    rows = conn.execute(RELAY.fetch_pending, look).fetchall()
    conn.execute(RELAY.mark_sent, {"positions": [row[0] for row in rows]})
    conn.execute(RELAY.has_pending, look)
    Stager(conn).stage()
    Rescuer(conn).rescue()
    for query in (KEEPER.queues_with_waiting, KEEPER.count_workers, KEEPER.newest_claimed):
        conn.execute(query)
    conn.execute(KEEPER.prune_identities, {"limit": 100})


def track(conn: BoundedConnection) -> None:
    """What the tracking service does with an event, and every two seconds."""
    now = datetime.now(UTC)
    event = status_message(NUMBER, sequence=6, new="delivered", at=now, estimated_completion=now)
    tracking.record_event(conn, event)
    tracking.insert_untracked(conn)
    tracking.mark_stuck(conn, 3, timedelta(hours=9))
    tracking.resolve_stuck(conn)


def forget(conn: BoundedConnection) -> None:
    """The periodic tasks that drop what is old, with something to drop."""
    assert retention_storage.prune_history(conn, timedelta(days=2), limit=20) == 40
    orders.prune_idempotency_keys(conn)


WORKS: dict[str, Callable[[BoundedConnection], object]] = {
    "an order from intake to ready": cook,
    "a status": lambda conn: order_status(conn, NUMBER),
    "a history": lambda conn: order_history(conn, NUMBER),
    "a whole order": lambda conn: get_order(conn, NUMBER),
    "the newest orders": list_orders,
    "an older page": lambda conn: list_orders(conn, before=NUMBER),
    "orders that wait": lambda conn: list_orders(conn, status="received"),
    "orders that cook": lambda conn: list_orders(conn, status="cooking", order_type="dine-in"),
    "the cap": lambda conn: set_capacity(conn, 0),
    "estimates": lambda conn: (
        estimates.refresh_estimates(conn),
        estimates.measure_cooking_times(conn),
    ),
    "the relay": relay,
    "tracking": track,
    "what is forgotten": forget,
    "a report": lambda conn: reports.day_report(conn, datetime.now(UTC).date()),
}


@pytest.mark.parametrize("work", WORKS)
def test_frequent_statements_read_no_table_completely(conn: BoundedConnection, work: str) -> None:
    assert read_whole(conn, WORKS[work]) & HISTORY == set()


def test_metrics_read_only_the_stations_of_the_newest_orders(
    conn: BoundedConnection,
) -> None:
    assert "order_stage" not in read_whole(conn, worker_storage.list_workers)
    assert not read_whole(conn, reports.list_samples) & {
        "order_stage",
        "message",
        "tracking_event",
    }


def test_a_periodic_task_without_old_rows_reads_nothing(conn: BoundedConnection) -> None:
    def rows_read() -> int:
        conn.execute("select pg_stat_force_next_flush()")
        row = conn.execute(
            """select sum(seq_tup_read + idx_tup_fetch) from pg_stat_user_tables
               where relname in ('idempotency_key', 'inbox_message', 'tracking_event')"""
        ).fetchone()
        assert row is not None
        return int(row[0])

    while conn.execute(
        "select from idempotency_key where kept_at < now() - interval '1 day'"
    ).rowcount:
        orders.prune_idempotency_keys(conn)
    before = rows_read()
    orders.prune_idempotency_keys(conn)
    retention_storage.prune_history(conn, timedelta(days=900))
    assert rows_read() - before < 10


def test_the_look_that_finds_it_can_fail(conn: BoundedConnection) -> None:
    def all_cancelled(conn: BoundedConnection) -> None:
        conn.execute("select count(*) from orders where status = 'cancelled'")

    assert read_whole(conn, all_cancelled) == {"orders"}


def test_orders_in_the_kitchen_are_listed_as_without_their_index(conn: BoundedConnection) -> None:
    listed = [order.number for order in list_orders(conn, status="cooking", limit=500)]
    counted = conn.execute(
        "select number from orders where status = 'cooking' order by created_at desc, id desc"
    )
    assert listed == [number for (number,) in counted]
    assert len(listed) == 20
    rest = list_orders(conn, status="cooking", before=listed[4], limit=3)
    assert [order.number for order in rest] == listed[5:8]
