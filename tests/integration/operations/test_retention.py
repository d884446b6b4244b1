"""Old rows are deleted; young ones and those of open orders stay."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pizza.app import create_task_app
from pizza.config.settings import Settings
from pizza.database.connection import BoundedConnection
from pizza.operations import retention_storage
from pizza.orders import storage as orders

KEEP = timedelta(days=30)
# old and done; old, but still waiting; young
FILL = """
with o(number, status, age) as (values
    ('old', 'delivered', interval '40 days'), ('open', 'received', '40 days'),
    ('young', 'delivered', '20 days')
), event as (
    insert into tracking_event (event_id, order_number, sequence, new_status, changed_by,
                                occurred_at, received_at)
    select gen_random_uuid(), number, s, status, 'chef', now() - age,
           now() - age + s * interval '1 s'
    from o, generate_series(1, 3) s
), known as (
    insert into tracking_order (order_number, sequence, status, since)
    select number, 3, status, now() - age from o
), gap as (
    insert into tracking_gap (order_number, first, last, missing, noticed_at)
    select number, 4, 4, 1, now() - age from o
), stuck as (
    insert into tracking_stuck (order_number, status, since, resolved_at)
    select number, 'cooking', now() - age, case when status = 'delivered' then now() - age end
    from o
), request as (
    insert into tracking_request (message_id, order_number, new_status, changed_by, answer,
                                  answered_at)
    select number, number, 'cancelled', 'desk', '{}', now() - age from o
), hook as (
    insert into webhook (url, secret) values ('https://hooks.example', '') returning id
), told as (
    insert into webhook_delivery (id, webhook_id, event_id, type, order_number, payload, message_id,
                                  created_at, state)
    select gen_random_uuid(), hook.id, gen_random_uuid(), 'order.ready', number, '{}',
           gen_random_uuid(), now() - age,
           case status when 'received' then 'waiting' else 'failed' end
    from o, hook
)
insert into notification_delivery (subscriber, event_id, order_number, status, delivered_at,
                                   attempts, outcome)
select 'board', gen_random_uuid(), number, status, now() - age, 1, 'delivered' from o
"""
LEFT = {
    "tracking_event": ["open", "young"],
    "tracking_order": ["open", "young"],
    "tracking_gap": ["open", "young"],
    "tracking_stuck": ["open", "young"],
    "tracking_request": ["young"],
    "notification_delivery": ["young"],
    "webhook_delivery": ["open", "young"],
}


def numbers(conn: BoundedConnection, table: str) -> list[str]:
    query = f"select distinct order_number from {table} order by 1"
    return [number for (number,) in conn.execute(query.encode())]


@pytest.mark.parametrize("limit", [500, 1])
def test_old_rows_go_and_young_and_open_ones_stay(conn: BoundedConnection, limit: int) -> None:
    conn.execute(FILL)
    turns = 0
    while retention_storage.prune_history(conn, KEEP, limit):
        turns += 1
    assert {table: numbers(conn, table) for table in LEFT} == LEFT
    assert turns == (1 if limit == 500 else 3)


def test_a_run_deletes_a_batch_of_each_kind_the_oldest_first(conn: BoundedConnection) -> None:
    conn.execute(FILL)
    assert retention_storage.prune_history(conn, KEEP, limit=2) == 2 + 1 + 2 + 2 + 1
    left = conn.execute("select sequence from tracking_event where order_number = 'old'")
    assert left.fetchall() == [(3,)]


def test_a_locked_row_is_left_for_the_next_run(conn: BoundedConnection, db_url: str) -> None:
    conn.execute(FILL)
    with BoundedConnection.connect(db_url) as other:
        other.execute("select from tracking_event where order_number = 'old' for update")
        with conn.timeout_scope(2):
            retention_storage.prune_history(conn, KEEP)
    assert numbers(conn, "tracking_event") == ["old", "open", "young"]
    retention_storage.prune_history(conn, KEEP)
    assert numbers(conn, "tracking_event") == LEFT["tracking_event"]


def test_keys_are_forgotten_a_batch_at_a_time(
    conn: BoundedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "_KEYS_AT_A_TIME", 3)
    conn.execute("set session_replication_role = replica")
    conn.execute(
        """insert into idempotency_key
               (key, digest, order_number, priority, rule, ordered_at, kept_at)
           select n, '', n, 1, '', now(), now() - n * interval '7 hours'
           from generate_series(1, 9) n"""
    )
    orders.prune_idempotency_keys(conn)
    left = [key for (key,) in conn.execute("select key from idempotency_key order by kept_at desc")]
    assert left == ["1", "2", "3", "4", "5", "6"]
    orders.prune_idempotency_keys(conn)
    left = [key for (key,) in conn.execute("select key from idempotency_key order by kept_at desc")]
    assert left == ["1", "2", "3"]


@pytest.mark.parametrize(("days", "kept_for_ever"), [(90.0, False), (0.0, True)])
def test_history_may_be_kept_for_ever(days: float, kept_for_ever: bool) -> None:
    tasks = {task.name for task in create_task_app(Settings(retention_days=days)).periodic_tasks}
    assert ("history" not in tasks) == kept_for_ever
    assert Settings().retention_days == 90
