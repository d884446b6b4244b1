"""Streams while transactions stay open, with clients that are cut off and reconnect."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

from pizza.changes import storage as live
from pizza.changes.cursor import MAX_RANGES, Cursor
from pizza.database.connection import BoundedConnection, connect
from pizza.web.streams import catch_up
from pizza.web.streams import hub as hub_module
from pizza.web.streams.hub import StreamHub
from pizza.web.streams.stream import Stream

from ...support.waiting import Stopwatch, wait_until
from .conftest import Place

# One more change of an order, by a transaction that updates its row as all do.
CHANGE = """
with changed as (
    update orders set version = version + 1 where number = %s returning id, status, version
)
insert into order_status_log (order_id, status, changed_by, sequence)
select id, status, 'test', version from changed
"""
TIMEOUT_S = 60.0
_EVENT = re.compile(
    r'id: (\S+)\nevent: order\ndata: (?:.*?)"order_number":"(.*?)".*"sequence":(\d+)'
)

Event = tuple[str, str, int]
Process = Callable[..., StreamHub]


def change(conn: psycopg.Connection, number: str) -> None:
    conn.execute(CHANGE, (number,))


class Screen:
    """Follows all orders; keeps each event that has come: its id, the order, and the sequence."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self.came: list[Event] = []
        self._new = 0
        self._stream: Stream | None = None

    def open(self, hub: StreamHub, last: str | None = None) -> None:
        """Open a stream, as the endpoint does; without `last` from now on."""
        self.close()
        stream = self._stream = Stream(on_close=hub.unsubscribe)
        position = hub.subscribe(stream, self._conn, Cursor.parse(last) if last else None)
        if not last:
            stream.start_all(already_sent=live.positions_after(self._conn, position))

    def again(self, hub: StreamHub) -> None:
        """Come back with the id of the last event."""
        self.open(hub, self.came[-1][0])

    def take(self, count: int) -> list[tuple[str, int]]:
        """The orders and sequences of the next events; waits for them."""
        assert self._stream is not None
        ending = threading.Timer(TIMEOUT_S, self._stream.abort)
        ending.start()
        while len(self.came) - self._new < count:
            for found in _EVENT.finditer(next(self._stream).decode()):
                self.came.append((found[1], found[2], int(found[3])))
        ending.cancel()
        taken = self.came[self._new : self._new + count]
        self._new += count
        return [(number, sequence) for _, number, sequence in taken]

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


@pytest.fixture
def process(db_url: str) -> Iterator[Process]:
    """Makes the hub of one more process; it reads nothing before `connected` is set."""
    with ExitStack() as closing:

        def make(connected: threading.Event | None = None) -> StreamHub:
            def connection() -> BoundedConnection:
                if connected:
                    assert connected.wait(TIMEOUT_S)
                return connect(db_url, name="hub under test")

            hub = StreamHub(connection)
            closing.callback(hub.close)
            return hub

        yield make


@pytest.fixture
def screen(conn: BoundedConnection) -> Iterator[Screen]:
    made = Screen(conn)
    yield made
    made.close()


@pytest.fixture
def orders(place: Place) -> list[str]:
    return [place() for _ in range(3)]


@pytest.fixture
def slow_conn(db_url: str) -> Iterator[BoundedConnection]:
    """For transactions that stay open."""
    with connect(db_url, name="slow") as conn:
        yield conn


def test_an_open_transaction_delays_no_other_order(
    screen: Screen, process: Process, place: Place, orders: list[str], slow_conn: BoundedConnection
) -> None:
    screen.open(process())
    with slow_conn.transaction():
        change(slow_conn, orders[0])
        others = [place() for _ in range(5)]
        watch = Stopwatch()
        assert screen.take(5) == [(number, 1) for number in others]
        watch.assert_within(1)
    assert screen.take(1) == [(orders[0], 2)]
    assert len(screen.came) == 6


def test_a_change_that_commits_while_the_client_is_away_comes_once(
    screen: Screen,
    process: Process,
    conn: BoundedConnection,
    orders: list[str],
    slow_conn: BoundedConnection,
) -> None:
    hub = process()
    screen.open(hub)
    with slow_conn.transaction():
        change(slow_conn, orders[0])
        change(conn, orders[1])
        assert screen.take(1) == [(orders[1], 2)]
        assert "~" in screen.came[-1][0]
        screen.close()
    change(conn, orders[2])
    screen.again(hub)
    change(conn, orders[1])
    assert screen.take(3) == [(orders[0], 2), (orders[2], 2), (orders[1], 3)]


def test_a_change_that_commits_after_the_reconnect_comes_once(
    screen: Screen,
    process: Process,
    conn: BoundedConnection,
    orders: list[str],
    slow_conn: BoundedConnection,
) -> None:
    """To the same process, to another one, to one that began later, and to that again."""
    first, second = process(), process()
    other = Screen(conn)
    other.open(second)
    screen.open(first)
    with slow_conn.transaction():
        change(slow_conn, orders[0])
        change(conn, orders[1])
        assert screen.take(1) == [(orders[1], 2)]
        for sequence, hub in enumerate((first, second, process()), 3):
            screen.again(hub)
            change(conn, orders[1])
            assert screen.take(1) == [(orders[1], sequence)]
        last = screen.came[-1][0]
    change(conn, orders[0])
    assert screen.take(2) == [(orders[0], 2), (orders[0], 3)]
    # And with the id from before: the same again.
    screen.open(first, last)
    assert screen.take(2) == [(orders[0], 2), (orders[0], 3)]
    came = other.take(6)
    assert [n for number, n in came if number == orders[1]] == [2, 3, 4, 5]
    assert [n for number, n in came if number == orders[0]] == [2, 3]
    other.close()


def test_a_client_that_comes_from_a_process_ahead_gets_nothing_twice(
    screen: Screen,
    process: Process,
    conn: BoundedConnection,
    orders: list[str],
    slow_conn: BoundedConnection,
) -> None:
    screen.open(process())
    connected = threading.Event()
    behind = process(connected)
    other = Screen(conn)
    other.open(behind)
    with slow_conn.transaction():
        change(slow_conn, orders[0])
        change(conn, orders[1])
        assert screen.take(1) == [(orders[1], 2)]
        screen.again(behind)
    change(conn, orders[2])
    connected.set()
    assert screen.take(2) == [(orders[0], 2), (orders[2], 2)]
    assert other.take(3) == [(orders[0], 2), (orders[1], 2), (orders[2], 2)]
    other.close()


def test_a_change_that_is_rolled_back_leaves_the_ids(
    screen: Screen,
    process: Process,
    conn: BoundedConnection,
    orders: list[str],
    slow_conn: BoundedConnection,
) -> None:
    hub = process()
    screen.open(hub)
    slow_conn.execute("begin")
    change(slow_conn, orders[0])
    change(conn, orders[1])
    assert screen.take(1) == [(orders[1], 2)]
    assert "~" in screen.came[-1][0]
    slow_conn.execute("rollback")
    wait_until(lambda: not hub._feed.missing, 10, "the gap is forgotten")
    screen.again(hub)
    change(conn, orders[1])
    assert screen.take(1) == [(orders[1], 3)]
    assert screen.came[-1][0].isdigit()


def test_beyond_the_longest_id_changes_are_repeated_and_none_is_missed(
    screen: Screen,
    process: Process,
    conn: BoundedConnection,
    orders: list[str],
    slow_conn: BoundedConnection,
) -> None:
    """Their event ids and sequences show it."""
    hub = process()
    screen.open(hub)
    gaps = 3 * MAX_RANGES
    with slow_conn.transaction():
        for _ in range(gaps):
            change(slow_conn, orders[0])
            change(conn, orders[1])
        assert len(screen.take(gaps)) == gaps
        assert len(screen.came[-1][0]) < 626
        screen.again(hub)
        change(conn, orders[2])
        screen.take(1)
    came = {(orders[2], 2)}
    while len(came) < gaps + 1:
        came |= {each for each in screen.take(1) if each[0] == orders[0]}
    twice = [each for each in screen.came[gaps:] if each[1] == orders[1]]
    assert len(twice) <= gaps - MAX_RANGES + 1
    sequences = [each[2] for each in screen.came if each[1] == orders[0]]
    assert sequences == sorted(sequences)


def test_thousands_of_missed_changes_come_page_by_page_with_new_ones(
    screen: Screen,
    process: Process,
    conn: BoundedConnection,
    orders: list[str],
    slow_conn: BoundedConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = process()
    screen.open(hub)
    change(conn, orders[1])
    assert screen.take(1) == [(orders[1], 2)]
    screen.close()
    slow_conn.execute("begin")
    change(slow_conn, orders[0])
    conn.execute(
        "insert into order_status_log (order_id, status, changed_by, sequence)"
        " select id, status, 'test', n from orders, generate_series(2, 10001) as n"
        " where number = %s",
        (orders[2],),
    )
    screen.again(hub)
    came = screen.take(3000)
    slow_conn.execute("commit")
    change(conn, orders[0])
    came += screen.take(7002)
    assert sorted(came) == sorted(
        [(orders[2], n) for n in range(2, 10_002)] + [(orders[0], 2), (orders[0], 3)]
    )
    assert [n for number, n in came if number == orders[0]] == [2, 3]


@pytest.mark.parametrize("seed", range(4))
def test_every_change_comes_once_and_in_its_order_whatever_happens(
    screen: Screen, process: Process, conn: BoundedConnection, orders: list[str], db_url: str,
    monkeypatch: pytest.MonkeyPatch, seed: int,
) -> None:  # fmt: skip
    """Transactions stay open and end in any order, and the client goes from process to process."""
    monkeypatch.setattr(hub_module, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(catch_up, "PAGE", 5)
    rng = random.Random(seed)
    hubs = [process(), process()]
    screen.open(hubs[0])
    change(conn, orders[0])
    screen.take(1)
    expected: set[tuple[str, int]] = set()
    with ExitStack() as closing:
        free = [closing.enter_context(connect(db_url, name=f"client {n}")) for n in range(4)]
        # What each open transaction has changed: an order is locked by one at a time.
        under_way: dict[BoundedConnection, str] = {}
        for _ in range(300):
            waiting = [number for number in orders if number not in under_way.values()]
            what = rng.random()
            if what < 0.45 and waiting and free:
                client = free.pop()
                under_way[client] = rng.choice(waiting)
                client.execute("begin")
                for _ in range(rng.randint(1, 3)):
                    change(client, under_way[client])
            elif what < 0.85 and under_way:
                client = rng.choice(list(under_way))
                client.execute(rng.choice(["commit", "commit", "rollback"]))
                del under_way[client]
                free.append(client)
            elif what < 0.95:
                screen.again(rng.choice(hubs))
            else:
                stored = live.changes_after(conn, 0, 10_000)
                expected = {(each.number, each.sequence or 0) for each in stored}
                screen.take(len(expected) - len(orders) - len(screen.came))
        for client in under_way:
            client.execute("commit")
    stored = live.changes_after(conn, 0, 10_000)
    expected = {(each.number, each.sequence or 0) for each in stored if each.sequence != 1}
    screen.take(len(expected) - len(screen.came))
    came = [(number, sequence) for _, number, sequence in screen.came]
    assert len(came) == len(set(came))
    assert set(came) == expected
    for number in orders:
        sequences = [each for one, each in came if one == number]
        assert sequences == sorted(sequences)
