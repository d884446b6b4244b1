"""Periodic work waits for no locked row, skips it, and processes it in a later run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pizza.auth.storage import ClientRetention
from pizza.database.connection import BoundedConnection, connect
from pizza.kitchen import estimates, worker_storage
from pizza.kitchen.worker_storage import WorkerProfile
from pizza.operations import retention_storage
from pizza.orders import storage as orders
from pizza.tracking import storage as tracking

from ...support.order_events import status_message

MAX_WAIT = timedelta(seconds=60)
KEEP = timedelta(days=30)
# Longer than any run takes; one that waits for a row fails.
LONGEST_RUN_S = 5.0

LockRows = Callable[..., AbstractContextManager[None]]

_ORDERS = """
with placed as (
    insert into orders (number, customer_name, customer_key, type, total_amount, created_at)
    select 'ORD_20260101_' || to_char(n, 'FM000000'), 'Jo', 'jo', 'takeout', 9,
           now() - interval '1 hour'
    from generate_series(1, %(count)s) n
    returning id, created_at, number
)
insert into message (id, state, task, queue, exchange, routing_key, priority, body, created_at,
                     sent_at)
select id, 'sent', 'cook_order', 'kitchen_takeout_queue', '', '', 1, '', created_at, now()
from placed order by number
"""


def wait_in_kitchen(conn: BoundedConnection, count: int) -> list[str]:
    """Orders that have waited for an hour; their numbers, oldest message first."""
    conn.execute(_ORDERS, {"count": count})
    return [number for (number,) in conn.execute("select number from orders order by number")]


@pytest.fixture(autouse=True)
def _no_wait(conn: BoundedConnection) -> Iterator[None]:
    with conn.timeout_scope(LONGEST_RUN_S):
        yield


@pytest.fixture
def lock_rows(db_url: str) -> LockRows:
    """For the length of a block another transaction has rows locked."""

    @contextmanager
    def block(statement: str, *values: Any) -> Iterator[None]:
        with connect(db_url, name="holder") as other, other.transaction():
            assert other.execute(statement, values).rowcount > 0
            yield

    return block


def age(conn: BoundedConnection) -> int:
    return orders.promote_aged(conn, MAX_WAIT, priority=10, by="ageing", rule="waited over 60 s")


def priorities(conn: BoundedConnection) -> dict[str, int]:
    return dict(conn.execute("select number, priority from orders"))


LOCKED = [
    "select from orders where number = %s for update",
    "select from message where id = (select id from orders where number = %s) for update",
]


@pytest.mark.parametrize("lock", LOCKED, ids=["order", "message"])
def test_aging_skips_a_locked_order(
    conn: BoundedConnection, lock_rows: LockRows, lock: str
) -> None:
    first, *others = wait_in_kitchen(conn, 3)
    with lock_rows(lock, first):
        assert age(conn) == 2
        assert priorities(conn) == {first: 1, **dict.fromkeys(others, 10)}
    assert age(conn) == 1
    assert age(conn) == 0
    assert set(priorities(conn).values()) == {10}
    rows = conn.execute("select state, priority from message where task is not null").fetchall()
    assert rows == [("pending", 10)] * 3
    notes = conn.execute("select notes from order_status_log").fetchall()
    assert notes == [("priority 1 → 10: waited over 60 s",)] * 3


def test_aging_skips_more_locked_orders_than_it_promotes(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    numbers = wait_in_kitchen(conn, 150)
    with lock_rows("select from orders where number = any(%s) for update", numbers[:120]):
        assert age(conn) == 30
    assert (age(conn), age(conn), age(conn)) == (100, 20, 0)


def test_aging_promotes_the_oldest_orders_of_all_queues_first(conn: BoundedConnection) -> None:
    numbers = wait_in_kitchen(conn, 240)
    conn.execute(
        """update message set queue = 'kitchen_' || (position % 3), priority = 1 + position % 2"""
    )
    assert age(conn) == 100
    raised = sorted(number for number, priority in priorities(conn).items() if priority == 10)
    assert raised == numbers[:100]


def test_estimates_leave_out_a_locked_order(conn: BoundedConnection, lock_rows: LockRows) -> None:
    first = wait_in_kitchen(conn, 3)[0]
    worker_storage.register_worker(conn, "mario", WorkerProfile("cook", "kitchen"), 10)
    unknown = "select number from orders where estimated_completion is null order by number"
    with lock_rows("select from orders where number = %s for update", first):
        assert estimates.refresh_estimates(conn) == 2
        assert conn.execute(unknown).fetchall() == [(first,)]
    assert estimates.refresh_estimates(conn) >= 1
    assert conn.execute(unknown).fetchall() == []


def test_the_kitchens_row_is_counted_in_once_it_is_free(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    wait_in_kitchen(conn, 3)
    waiting = "select waiting from kitchen_state"
    (before,) = conn.execute(waiting).fetchone()
    with lock_rows("update kitchen_state set paused = true"):
        estimates.refresh_estimates(conn)
        assert conn.execute(waiting).fetchone() == (before,)
    estimates.refresh_estimates(conn)
    assert conn.execute(waiting).fetchone() == (3,)


def test_the_pace_of_a_locked_row_is_measured_later(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    wait_in_kitchen(conn, 2)
    conn.execute("update orders set status = 'ready', started_at = created_at")
    conn.execute("update orders set completed_at = created_at + interval '7 s'")
    conn.execute("insert into cooking_time_avg (order_type, seconds) values ('takeout', 1)")
    conn.execute("update orders set type = 'delivery' where number like '%2'")
    pace = lambda: dict(conn.execute("select order_type, seconds from cooking_time_avg"))  # noqa: E731
    with lock_rows("update cooking_time_avg set seconds = 2"):
        estimates.measure_cooking_times(conn)
        assert pace() == {"takeout": 1, "delivery": 7}
    estimates.measure_cooking_times(conn)
    assert pace() == {"takeout": 7, "delivery": 7}


def test_a_locked_idempotency_key_is_dropped_later(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    numbers = wait_in_kitchen(conn, 3)
    for number in numbers:
        conn.execute(
            """insert into idempotency_key (key, digest, order_number, priority, rule, ordered_at,
                                      kept_at)
               values (%s, '', %s, 1, '', now(), now() - interval '2 days')""",
            [number, number],
        )
    left = "select key from idempotency_key"
    with lock_rows("select from idempotency_key where key = %s for update", numbers[1]):
        orders.prune_idempotency_keys(conn)
        assert conn.execute(left).fetchall() == [(numbers[1],)]
    orders.prune_idempotency_keys(conn)
    assert conn.execute(left).fetchall() == []


def test_clients_are_dropped_in_slices_and_a_locked_one_in_the_next_round(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    numbers = wait_in_kitchen(conn, 5)
    conn.execute("insert into client_order select number, 'x' from orders")
    conn.execute("update orders set status = 'ready' where number <> %s", [numbers[0]])
    left = "select order_number from client_order order by order_number"
    slices = ClientRetention(limit=2)
    with lock_rows("select from client_order where order_number = %s for update", numbers[3]):
        sizes = []
        for _ in range(3):
            slices.run(conn)
            sizes.append(len(conn.execute(left).fetchall()))
        assert sizes == [4, 3, 2]
    assert conn.execute(left).fetchall() == [(numbers[0],), (numbers[3],)]
    slices.run(conn)
    assert conn.execute(left).fetchall() == [(numbers[0],)]


def _old_events(conn: BoundedConnection, *numbers: str) -> None:
    old = datetime.now(UTC) - timedelta(days=40)
    for number in numbers:
        for sequence in (1, 3):
            event = status_message(number, sequence=sequence, new="delivered", at=old)
            tracking.record_event(conn, event)
        tracking.open_gap(conn, number, 2, 2)
    conn.execute("update tracking_event set received_at = now() - interval '40 days'")
    conn.execute("update tracking_gap set noticed_at = now() - interval '40 days'")


@pytest.mark.parametrize("table", ["tracking_event", "tracking_order", "tracking_gap"])
def test_tracking_data_of_a_locked_order_is_pruned_later_and_completely(
    conn: BoundedConnection, lock_rows: LockRows, table: str
) -> None:
    _old_events(conn, "ORD_A", "ORD_B")
    tables = ("tracking_event", "tracking_order", "tracking_gap")

    def left() -> list[set[str]]:
        return [
            {number for (number,) in conn.execute(f"select order_number from {name}")}
            for name in tables
        ]

    with lock_rows(f"select from {table} where order_number = 'ORD_A' for update"):
        retention_storage.prune_history(conn, KEEP)
        assert left() == [{"ORD_A"}] * 3
    retention_storage.prune_history(conn, KEEP)
    assert left() == [set()] * 3


def test_a_gone_worker_whose_row_is_locked_is_offline_later(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    conn.execute("insert into workers (name, type) values ('locked', 'cook'), ('gone', 'cook')")
    with lock_rows("select from workers where name = 'locked' for update"):
        assert worker_storage.expire_workers(conn) == ["gone"]
    assert worker_storage.expire_workers(conn) == ["locked"]


def test_a_worker_registers_while_the_row_of_another_is_locked(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    conn.execute("insert into workers (name, type) values ('locked', 'cook')")
    with lock_rows("select from workers where name = 'locked' for update"):
        assert (
            worker_storage.register_worker(conn, "mario", WorkerProfile("cook", "kitchen"), 1)
            == "registered"
        )


def test_tracking_takes_over_a_moved_estimate_once_its_row_is_free(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    numbers = wait_in_kitchen(conn, 2)
    conn.execute("update orders set estimated_completion = now() + interval '1 hour'")
    tracking.insert_untracked(conn)
    conn.execute("update orders set estimated_completion = now() + interval '3 hours'")

    def moved() -> list[str]:
        return [number for number, _ in tracking.update_estimates(conn, timedelta(seconds=5), 0.2)]

    def notified() -> list[str]:
        found = tracking.notify_estimates(conn, timedelta(seconds=5), 0.2, "test")
        return [number for number, _ in found]

    with lock_rows("update tracking_order set since = now() where order_number = %s", numbers[0]):
        assert tracking.insert_untracked(conn) == 0
        assert (moved(), notified()) == ([numbers[1]], [numbers[1]])
    assert (moved(), notified()) == ([numbers[0]], [numbers[0]])


def test_an_order_that_moved_on_is_unstuck_once_its_row_is_free(
    conn: BoundedConnection, lock_rows: LockRows
) -> None:
    numbers = wait_in_kitchen(conn, 2)
    conn.execute(
        "insert into tracking_stuck (order_number, status, since) "
        "select number, 'received', created_at from orders"
    )
    conn.execute("update orders set status = 'cooking'")
    with lock_rows("select from tracking_stuck where order_number = %s for update", numbers[0]):
        assert [order.number for order in tracking.resolve_stuck(conn)] == [numbers[1]]
    assert [order.number for order in tracking.resolve_stuck(conn)] == [numbers[0]]
