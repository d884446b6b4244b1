"""The changes of all orders, read while transactions commit in another order than they began."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from decimal import Decimal

import psycopg
import pytest

from pizza.changes import feed as following
from pizza.changes import storage as live
from pizza.changes.feed import ChangeFeed
from pizza.database.connection import BoundedConnection, connect
from pizza.domain.order import OrderDraft, OrderItem
from pizza.orders import orders

TEA = OrderDraft(customer_name="Jo", items=(OrderItem("Tea", 1, Decimal(2)),))

# One more change of an order, by a transaction that updates its row as all do.
CHANGE = """
with changed as (
    update orders set version = version + 1 where number = %s returning id, status, version
)
insert into order_status_log (order_id, status, changed_by, sequence)
select id, status, 'test', version from changed
"""

UncommittedOrder = Callable[[], AbstractContextManager[str]]


def order(conn: psycopg.Connection) -> str:
    return orders.place_order(conn, TEA).number


def change(conn: psycopg.Connection, number: str) -> None:
    conn.execute(CHANGE, (number,))


@pytest.fixture
def first(conn: BoundedConnection) -> str:
    """The day's first order: it makes the others wait."""
    return order(conn)


@pytest.fixture
def uncommitted_order(db_url: str, first: str) -> UncommittedOrder:
    """Places an order that is committed at the end of the block; gives its number."""

    @contextmanager
    def block() -> Iterator[str]:
        with connect(db_url, name="client") as conn, conn.transaction():
            yield order(conn)

    return block


def read(feed: ChangeFeed, conn: psycopg.Connection, times: int = 2) -> list[str]:
    """The orders whose changes come; a gap is passed when it is seen for the second time."""
    return [each.change.number for _ in range(times) for each in feed.read(conn)]


def sequences(feed: ChangeFeed, conn: psycopg.Connection) -> list[int | None]:
    return [each.change.sequence for _ in range(2) for each in feed.read(conn)]


def test_changes_before_the_start_are_not_read(conn: BoundedConnection, first: str) -> None:
    feed = ChangeFeed.start_now(conn)
    assert read(feed, conn) == []

    second = order(conn)

    (only,) = feed.read(conn)
    found = only.change
    assert (found.number, found.sequence, found.old_status, found.status) == (
        second,
        1,
        None,
        "received",
    )
    assert found.position == feed.position
    assert str(only.cursor) == str(found.position)
    assert read(feed, conn) == []


def test_an_open_transaction_delays_no_other_order(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder
) -> None:
    feed = ChangeFeed.start_now(conn)
    with uncommitted_order() as early:
        others = [order(conn) for _ in range(3)]
        assert read(feed, conn) == others
        assert read(feed, conn) == []
        others = [order(conn) for _ in range(3)]
        assert read(feed, conn, times=1) == others
    assert read(feed, conn) == [early]
    assert read(feed, conn) == []
    assert feed.missing == ()


def test_a_gap_is_waited_for_once_as_most_are_filled_at_once(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder
) -> None:
    feed = ChangeFeed.start_now(conn)
    before = order(conn)
    with uncommitted_order() as early:
        late = order(conn)
        assert read(feed, conn, times=1) == [before]
        assert feed.waits
    assert read(feed, conn, times=1) == [early, late]
    assert not feed.waits


def test_a_cursor_says_what_is_missing(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder
) -> None:
    feed = ChangeFeed.start_now(conn)
    last = feed.position
    with uncommitted_order(), uncommitted_order():
        order(conn)
        feed.read(conn)
        (only,) = feed.read(conn)
        assert str(only.cursor) == f"{last + 3}~{last + 1}-{last + 2}"
    ids = [str(each.cursor) for each in feed.read(conn)]
    assert ids == [f"{last + 3}~{last + 2}", f"{last + 3}"]


def test_a_change_that_was_rolled_back_is_forgotten(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder
) -> None:
    feed = ChangeFeed.start_now(conn)
    with pytest.raises(ZeroDivisionError), uncommitted_order():
        late = order(conn)
        assert read(feed, conn) == [late]
        assert len(feed.missing) == 1
        raise ZeroDivisionError
    later = order(conn)
    assert read(feed, conn) == [later]
    assert feed.missing == ()


def test_a_gap_stays_open_as_long_as_a_transaction_may_fill_it(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder
) -> None:
    feed = ChangeFeed.start_now(conn)
    with uncommitted_order() as early:
        with pytest.raises(ZeroDivisionError), uncommitted_order():
            late = order(conn)
            assert read(feed, conn) == [late]
            raise ZeroDivisionError
        assert read(feed, conn) == []
        # The other one could have been given either position.
        assert sum(high - low + 1 for low, high in feed.missing) == 2
    assert read(feed, conn) == [early]
    assert feed.missing == ()


def test_transactions_on_other_tables_keep_no_gap_open(
    conn: BoundedConnection, db_url: str, uncommitted_order: UncommittedOrder
) -> None:
    """A transaction that has long been writing, but no change of an order."""
    feed = ChangeFeed.start_now(conn)
    with connect(db_url, name="report") as other, other.transaction():
        other.execute("update menu set sold_out = sold_out")
        other.execute("select from order_status_log")
        with pytest.raises(ZeroDivisionError), uncommitted_order():
            late = order(conn)
            raise ZeroDivisionError
        assert read(feed, conn) == [late]
        assert feed.missing == ()


def test_a_change_uncommitted_at_the_start_is_read_when_it_commits(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder
) -> None:
    with uncommitted_order() as early, uncommitted_order() as other:
        seen = order(conn)
        feed = ChangeFeed.start_now(conn)
        late = order(conn)
        assert read(feed, conn) == [late]
    assert sorted(read(feed, conn)) == sorted([early, other])
    assert seen not in (early, other)


def test_the_changes_of_one_order_keep_their_order(
    conn: BoundedConnection, db_url: str, first: str
) -> None:
    """Two orders whose changes alternate, the first of each committed late."""
    second = order(conn)
    feed = ChangeFeed.start_now(conn)
    with connect(db_url, name="slow") as slow, connect(db_url, name="slower") as slower:
        with slower.transaction():
            change(slower, second)
            with slow.transaction():
                change(slow, first)
                third = order(conn)
                assert read(feed, conn) == [third]
            change(conn, first)
            assert read(feed, conn) == [first, first]
        change(conn, second)
        change(conn, first)
    followed = feed.read(conn)
    assert [(each.change.number, each.change.sequence) for each in followed] == [
        (second, 2),
        (second, 3),
        (first, 4),
    ]


@pytest.mark.parametrize("moment", ["page", "writers"])
def test_a_change_overtakes_none_of_its_order_that_commits_during_a_read(
    conn: BoundedConnection, db_url: str, first: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The earlier change is committed, and a later one made, after one of a read's queries."""
    feed = ChangeFeed.start_now(conn)
    name = {"page": "changes_after", "writers": "open_transactions"}[moment]
    query = getattr(live, name)
    with connect(db_url, name="slow") as slow, slow.transaction():
        change(slow, first)
        order(conn)
        assert len(read(feed, conn)) == 1

        def followed_by_commit(*values: object) -> object:
            answer = query(*values)
            monkeypatch.undo()
            slow.execute("commit")
            change(conn, first)
            slow.execute("begin")
            return answer

        monkeypatch.setattr(live, name, followed_by_commit)
        assert sequences(feed, conn) == [2, 3]


def test_a_writer_that_has_committed_and_still_holds_its_lock_is_not_overtaken(
    conn: BoundedConnection, db_url: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL shows what a transaction did a moment before it releases its locks."""
    feed = ChangeFeed.start_now(conn)
    with connect(db_url, name="slow") as slow:
        with slow.transaction():
            change(slow, first)
            order(conn)
            assert len(read(feed, conn)) == 1
            holders = live.open_transactions(conn)
        change(conn, first)
        monkeypatch.setattr(live, "open_transactions", lambda conn: holders)
        assert sequences(feed, conn) == [2, 3]


def test_a_gap_is_found_beyond_a_page(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    feed = ChangeFeed.start_now(conn)
    before = [order(conn) for _ in range(3)]
    with uncommitted_order() as early:
        late = [order(conn) for _ in range(3)]
        assert read(feed, conn, times=5) == [*before, *late]
    assert read(feed, conn) == [early]
    assert not feed.more


def test_late_changes_come_page_by_page_and_before_new_ones(
    conn: BoundedConnection, db_url: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = ChangeFeed.start_now(conn)
    with connect(db_url, name="slow") as slow, slow.transaction():
        for _ in range(5):
            change(slow, first)
        order(conn)
        assert len(read(feed, conn)) == 1
    change(conn, first)
    monkeypatch.setattr(following, "PAGE", 2)
    came = []
    while page := feed.read(conn):
        came.append([each.change.sequence for each in page])
    assert came == [[2, 3], [4, 5], [6, 7]]
    assert feed.missing == ()


def test_beyond_a_number_of_gaps_nothing_new_is_read_until_one_is_closed(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MAX_GAPS", 2)
    feed = ChangeFeed.start_now(conn)
    with ExitStack() as first_gap, ExitStack() as others:
        early = [first_gap.enter_context(uncommitted_order())]
        came = [order(conn)]
        for _ in range(2):
            early.append(others.enter_context(uncommitted_order()))
            came.append(order(conn))
        assert read(feed, conn, times=4) == came[:2]
        first_gap.close()
        assert read(feed, conn, times=4) == [early[0], came[2]]
    assert read(feed, conn) == early[1:]
    assert feed.missing == ()


def test_of_two_gaps_one_is_filled_and_one_stays(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder
) -> None:
    feed = ChangeFeed.start_now(conn)
    with pytest.raises(ZeroDivisionError), uncommitted_order():
        between = order(conn)
        with uncommitted_order() as early:
            late = order(conn)
        raise ZeroDivisionError
    assert early != late
    assert read(feed, conn) == [between, early, late]
    assert feed.missing == ()


def test_a_database_that_came_back_without_its_last_moments_is_followed(
    conn: BoundedConnection, first: str
) -> None:
    feed = ChangeFeed.start_now(conn)
    feed.position += 100  # as many changes were never on the standby
    feed.rewind(conn)
    second = order(conn)
    assert read(feed, conn) == [second]


def test_a_change_committed_while_the_feed_was_disconnected_is_read(
    conn: BoundedConnection, uncommitted_order: UncommittedOrder
) -> None:
    feed = ChangeFeed.start_now(conn)
    with uncommitted_order() as other, uncommitted_order() as early:
        late = order(conn)
        assert read(feed, conn) == [late]
        feed.rewind(conn)
        assert read(feed, conn) == []
    feed.rewind(conn)
    assert sorted(read(feed, conn)) == sorted([early, other])
