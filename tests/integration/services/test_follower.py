"""The changes of all orders, read while transactions commit in another order than they began."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal

import psycopg
import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.domain.order import OrderDraft, OrderItem
from pizza.services import follower as following
from pizza.services import orders
from pizza.services.follower import Follower
from pizza.storage import live

TEA = OrderDraft(customer_name="Jo", items=(OrderItem("Tea", 1, Decimal(2)),))

UnderWay = Callable[[], AbstractContextManager[str]]


def order(conn: psycopg.Connection) -> str:
    return orders.place_order(conn, TEA).number


@pytest.fixture
def first(conn: BoundedConnection) -> str:
    """The day's first order: it makes the others wait."""
    return order(conn)


@pytest.fixture
def under_way(db_url: str, first: str) -> UnderWay:
    """Places an order that is committed at the end of the block; gives its number."""

    @contextmanager
    def block() -> Iterator[str]:
        with connect(db_url, name="client") as conn, conn.transaction():
            yield order(conn)

    return block


def read(follower: Follower, conn: psycopg.Connection, times: int = 1) -> list[str]:
    return [change.number for _ in range(times) for change in follower.read(conn)]


def test_what_was_there_before_is_not_read(conn: BoundedConnection, first: str) -> None:
    follower = Follower.begin(conn)
    assert read(follower, conn, times=3) == []

    second = order(conn)

    (change,) = follower.read(conn)
    assert (change.number, change.sequence, change.old_status, change.status) == (
        second, 1, None, "received",
    )  # fmt: skip
    assert change.position == follower.position
    assert read(follower, conn) == []


def test_what_is_committed_late_comes_first(conn: BoundedConnection, under_way: UnderWay) -> None:
    follower = Follower.begin(conn)
    with under_way() as early:
        late = order(conn)
        # Longer than anybody would take a gap for one that stays.
        assert read(follower, conn, times=5) == []
        assert follower.held == 5
    came = follower.read(conn)
    assert [change.number for change in came] == [early, late]
    assert came[0].position < came[1].position


def test_what_is_before_the_gap_does_not_wait(conn: BoundedConnection, under_way: UnderWay) -> None:
    follower = Follower.begin(conn)
    before = order(conn)
    with under_way() as early:
        late = order(conn)
        assert read(follower, conn, times=3) == [before]
    assert read(follower, conn) == [early, late]


def test_a_change_that_was_rolled_back_is_waited_for_no_longer(
    conn: BoundedConnection, under_way: UnderWay
) -> None:
    follower = Follower.begin(conn)
    with pytest.raises(ZeroDivisionError), under_way():
        late = order(conn)
        raise ZeroDivisionError
    assert read(follower, conn, times=3) == [late]
    later = order(conn)
    assert read(follower, conn) == [later]


def test_whoever_is_busy_elsewhere_keeps_nobody_waiting(
    conn: BoundedConnection, db_url: str, under_way: UnderWay
) -> None:
    """A transaction that has long been writing, but no change of an order."""
    follower = Follower.begin(conn)
    with connect(db_url, name="report") as other, other.transaction():
        other.execute("update menu set sold_out = sold_out")
        other.execute("select from order_status_log")
        with pytest.raises(ZeroDivisionError), under_way():
            late = order(conn)
            raise ZeroDivisionError
        assert read(follower, conn, times=3) == [late]


def test_what_is_under_way_at_the_beginning_is_read(
    conn: BoundedConnection, under_way: UnderWay
) -> None:
    with under_way() as early:
        seen = order(conn)
        follower = Follower.begin(conn)
        late = order(conn)
        assert read(follower, conn, times=3) == []
    assert read(follower, conn, times=3) == [early, late]
    assert seen not in (early, late)


def test_a_gap_is_found_beyond_a_page(
    conn: BoundedConnection, under_way: UnderWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    follower = Follower.begin(conn)
    before = [order(conn) for _ in range(3)]
    with under_way() as early:
        late = [order(conn) for _ in range(3)]
        assert read(follower, conn, times=4) == before
    assert read(follower, conn, times=3) == [early, *late]
    assert not follower.more


def test_two_gaps_of_which_one_stays(conn: BoundedConnection, under_way: UnderWay) -> None:
    follower = Follower.begin(conn)
    with pytest.raises(ZeroDivisionError), under_way():
        between = order(conn)
        with under_way() as early:
            late = order(conn)
        raise ZeroDivisionError
    assert early != late
    assert read(follower, conn, times=4) == [between, early, late]


def test_a_database_that_came_back_without_its_last_moments_is_followed(
    conn: BoundedConnection, first: str
) -> None:
    follower = Follower.begin(conn)
    follower.position += 100  # as many changes were never on the standby
    follower.resume(conn)
    second = order(conn)
    assert read(follower, conn) == [second]


def test_no_plan_reads_the_whole_log(conn: BoundedConnection, first: str) -> None:
    """Those of the feeder are made on its own connection, those of a request on any."""
    conn.execute(
        "insert into order_status_log (order_id, status, changed_by, sequence)"
        " select id, 'received', 'mario', n from orders, generate_series(2, 20000) as n"
    )
    conn.execute("analyze order_status_log")
    queries = {
        "tip": (live._TIP, ""),
        "positions": (live._POSITIONS.replace("%(after)s", "$1"), "(0)"),
        "newest": (live._NEWEST, ""),
    }
    for name, (query, values) in queries.items():
        conn.execute(f"prepare {name} as {query}")
        plan = str(conn.execute(f"explain execute {name}{values}").fetchall())
        assert "order_status_log_position" in plan, plan
        assert "Seq Scan" not in plan, plan
    assert Follower.begin(conn).position == live.newest(conn)
    conn.execute("set enable_seqscan = off")
    plan = str(
        conn.execute(
            "explain " + live._AFTER, {"after": 0, "upto": 2**62, "limit": 1000}
        ).fetchall()
    )
    assert "order_status_log_position" in plan
    assert "Seq Scan" not in plan
