"""The change feed while transactions stay open: its cost and its limits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pizza.changes import storage as live
from pizza.changes.feed import ChangeFeed
from pizza.database.connection import BoundedConnection, connect

from ...support.waiting import Stopwatch
from .test_feed import change, order, read

CHANGES = """
insert into order_status_log (order_id, status, changed_by, sequence)
select id, status, 'test', n from orders, generate_series(%(first)s::int, %(last)s) as n
where number = %(number)s
"""
# Every other position is skipped, as after a rollback of its transaction.
GAPS = """
insert into order_status_log (order_id, status, changed_by, sequence, position)
select id, status, 'test', n,
       nextval('order_change_position') + 0 * nextval('order_change_position')
from orders, generate_series(%(first)s::int, %(last)s) as n where number = %(number)s
"""


@pytest.fixture
def first(conn: BoundedConnection) -> str:
    return order(conn)


@pytest.fixture
def query_counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each query was asked, and how many rows came."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> None:
        query = getattr(live, name)

        def ask(*values: Any) -> Any:
            answer = query(*values)
            counts[name] += 1
            counts[f"{name} rows"] += len(answer)
            return answer

        monkeypatch.setattr(live, name, ask)

    for name in ("changes_after", "changes_within", "open_transactions"):
        counted(name)
    return counts


def add(conn: BoundedConnection, statement: str, number: str, first: int, last: int) -> None:
    with conn.timeout_scope(300):  # it is only the set-up
        conn.execute(statement, {"number": number, "first": first, "last": last})


def read_all(feed: ChangeFeed, conn: BoundedConnection) -> int:
    """Read until nothing more comes; returns how many changes came."""
    count = 0
    while (page := len(feed.read(conn))) or feed.waits:
        count += page
    return count


def test_a_hundred_thousand_changes_pass_a_gap_and_are_read_once(
    conn: BoundedConnection, db_url: str, first: str, query_counts: Counter[str]
) -> None:
    second = order(conn)
    feed = ChangeFeed.start_now(conn)
    with connect(db_url, name="slow") as slow, slow.transaction():
        change(slow, second)
        add(conn, CHANGES, first, 2, 100_001)
        watch = Stopwatch()
        came = read_all(feed, conn)
        watch.assert_within(20)
        # 100 pages, one that stops at the new gap, and one that finds nothing.
        assert query_counts["changes_after"] <= 103
        assert query_counts["changes_after rows"] <= 101_000
        # The gap is read when it is passed; afterwards only its writer is checked.
        assert query_counts["changes_within"] == 1
        assert len(feed.missing) == 1
    assert came == 100_000
    assert read(feed, conn) == [second]
    assert feed.missing == ()


def test_thousands_of_gaps_are_looked_up_only_when_one_of_their_writers_ends(
    conn: BoundedConnection, db_url: str, first: str, query_counts: Counter[str]
) -> None:
    second = order(conn)
    feed = ChangeFeed.start_now(conn)
    with connect(db_url, name="slow") as slow, slow.transaction():
        change(slow, second)
        with connect(db_url, name="slow too") as other, other.transaction():
            change(other, first)
            add(conn, GAPS, first, 3, 9_000)
            read_all(feed, conn)
            assert len(feed.missing) > 8_990
            query_counts.clear()
            watch = Stopwatch()
            assert read(feed, conn, times=100) == []
            watch.assert_within(5)
            assert query_counts == {
                "changes_after": 100,
                "changes_after rows": 0,
                "open_transactions": 100,
                "open_transactions rows": 200,
            }
        query_counts.clear()
        watch = Stopwatch()
        assert read(feed, conn, times=1) == [first]
        watch.assert_within(2)
        assert read(feed, conn, times=10) == []
        assert query_counts["changes_within"] == 1
        third = order(conn)
        assert read(feed, conn) == [third]
    assert read(feed, conn) == [second]
    assert feed.missing == ()


def test_a_reader_that_begins_finds_a_gap_behind_tens_of_thousands_of_changes(
    conn: BoundedConnection, db_url: str, first: str
) -> None:
    second = order(conn)
    with connect(db_url, name="slow") as slow, slow.transaction():
        change(slow, second)
        add(conn, CHANGES, first, 2, 50_000)
        watch = Stopwatch()
        feed = ChangeFeed.start_now(conn)
        watch.assert_within(2)
        assert len(feed.missing) == 1
        assert read(feed, conn) == []
    assert read(feed, conn) == [second]


def test_no_plan_reads_a_whole_table(conn: BoundedConnection, first: str) -> None:
    """Those of the hub are made on its own connection, those of a request on any."""
    add(conn, CHANGES, first, 2, 20_000)
    conn.execute("analyze order_status_log")
    queries = {
        "gaps": (live._SQL.gaps.replace("%(upto)s", "$1"), "(9223372036854775807)"),
        "positions": (live._SQL.positions_after.replace("%(after)s", "$1"), "(0)"),
        "newest": (live._SQL.head_position, ""),
    }
    for name, (query, values) in queries.items():
        conn.execute(f"prepare {name} as {query}")
        plan = str(conn.execute(f"explain execute {name}{values}").fetchall())
        assert "order_status_log_position" in plan, plan
        assert "Seq Scan" not in plan, plan
    assert ChangeFeed.start_now(conn).position == live.head_position(conn)
    conn.execute("set enable_seqscan = off")
    values = {"after": 0, "limit": 1000, "lows": [1, 9], "highs": [1, 9]}
    for query in (live._SQL.changes_after, live._SQL.changes_within):
        plan = str(conn.execute("explain " + query, values).fetchall())
        assert "order_status_log_position" in plan
        assert "Seq Scan" not in plan
        assert "Hash" not in plan


def test_a_jump_of_the_positions_is_one_gap(
    conn: BoundedConnection, db_url: str, first: str
) -> None:
    """After a failover the sequence may go on far above."""
    feed = ChangeFeed.start_now(conn)
    with connect(db_url, name="slow") as slow, slow.transaction():
        change(slow, first)
        conn.execute("select setval('order_change_position', 1000000000000)")
        second = order(conn)
        watch = Stopwatch()
        assert read(feed, conn) == [second]
        assert len(feed.missing) == 1
    assert read(feed, conn) == [first]
    watch.assert_within(2)
    assert feed.missing == ()
