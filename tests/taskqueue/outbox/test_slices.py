"""Housekeeping works in slices; none of them reads a large table completely."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.database.queries import Queries
from pizza.taskqueue.outbox import rescuer
from pizza.taskqueue.outbox.keeper import PENDING_LIMIT, Stager
from pizza.taskqueue.outbox.rescuer import Rescuer

from ...support.taskqueue.backlog import ONE_BY_ONE, insert_tasks
from ...support.taskqueue.worker_process import Harness

COUNT = 20_000
# psycopg prepares after five runs; PostgreSQL plans the first five runs of a prepared one again.
TIMES = 12
# Of a table: how often it was read from end to end, and how many rows were read in all.
_READ = """
select seq_scan, seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relid = %s::regclass
"""
# Rows that a slice may read for each one that it changes.
READ_FOR_EACH = 10
_PUBLISHED = "update message set state = 'sent', sent_at = now() where state = 'pending'"


@pytest.fixture(params=["current statistics", "statistics of an empty table"])
def statistics(request: pytest.FixtureRequest, harness: Harness) -> Callable[[], object]:
    """Called when a table has changed: analyses it, or keeps the statistics of an empty one."""
    if request.param == "current statistics":
        return lambda: harness.conn.execute("vacuum analyze message, inbox_message")
    tables = ("message", "inbox_message", "redelivery", "worker_session")
    for table in tables:
        harness.conn.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())
    harness.conn.execute("analyze message, inbox_message, redelivery, worker_session")
    return lambda: None


def read(conn: BoundedConnection, table: str = "message") -> tuple[int, int]:
    """How often a table was read from end to end, and how many rows of it were read."""
    conn.execute("select pg_stat_force_next_flush()")
    row = conn.execute(_READ, (table,)).fetchone()
    assert row is not None
    return row[0], row[1]


def assert_no_scan(
    conn: BoundedConnection, prepare: Callable[[], object], work: Callable[[], object], each: int
) -> None:
    """No slice reads the whole table, and each makes so many messages pending."""
    for _ in range(TIMES):
        prepare()
        scans, rows = read(conn)
        work()
        scans_after, rows_after = read(conn)
        assert scans_after == scans
        assert rows_after - rows <= READ_FOR_EACH * each
        conn.execute("set enable_seqscan = off")
        assert conn.execute(_PUBLISHED).rowcount == each
        conn.execute("reset enable_seqscan")


def test_due_messages_are_staged_in_their_order(
    harness: Harness, statistics: Callable[[], object]
) -> None:
    insert_tasks(harness, COUNT, "scheduled", available=ONE_BY_ONE)
    with connect(harness.db_url, name="keeper") as conn:
        assert_no_scan(conn, statistics, Stager(conn).stage, PENDING_LIMIT)
    staged = harness.rows("select available_at from message where state = 'sent' order by position")
    assert staged == sorted(staged)


def test_orphaned_claims_are_freed(
    harness: Harness, statistics: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescuer, "_GAP_S", 0.0)
    insert_tasks(harness, COUNT, "sent")
    harness.conn.execute(
        "insert into worker_session (id, name, lease_expires_at) "
        "values (7, 'gone', now() - interval '20 s')"
    )
    claim = (
        "update message set state = 'claimed', holder = 7 "
        "where id in (select id from message where state = 'sent' limit 600)"
    )
    with connect(harness.db_url, name="keeper") as conn:
        work = Rescuer(conn).rescue
        assert_no_scan(conn, lambda: (harness.conn.execute(claim), statistics()), work, 600)


def test_lost_deliveries_that_were_noted_come_back(
    harness: Harness, statistics: Callable[[], object]
) -> None:
    insert_tasks(harness, COUNT, "sent")
    note = (
        "insert into redelivery (message_id, noted_at) "
        "select id, now() - interval '1 min' from message where state = 'sent' limit 400"
    )
    with connect(harness.db_url, name="keeper") as conn:
        work = Rescuer(conn).rescue
        assert_no_scan(conn, lambda: (harness.conn.execute(note), statistics()), work, 400)


def test_ids_that_are_over_are_forgotten(
    harness: Harness, statistics: Callable[[], object]
) -> None:
    harness.conn.execute(
        "insert into inbox_message (id, checked_at, is_over)"
        " select gen_random_uuid(), now() - interval '13 hours', mod(n, 2) = 0"
        " from generate_series(1, %s) n",
        [COUNT],
    )
    with connect(harness.db_url, name="keeper") as conn:
        statistics()
        for _ in range(TIMES):
            scans, rows = read(conn, "inbox_message")
            conn.execute(Queries("taskqueue/keeper").prune_identities, {"limit": 500})
            scans_after, rows_after = read(conn, "inbox_message")
            assert scans_after == scans
            assert rows_after - rows <= READ_FOR_EACH * 500
    ((left, looked_at),) = harness.rows(
        "select count(*), count(*) filter (where checked_at > now() - interval '1 hour')"
        " from inbox_message"
    )
    assert COUNT - left + looked_at == TIMES * 500
