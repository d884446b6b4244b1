"""The stream hub: all streams of a process on one connection, through losses of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from pizza.changes import storage as live
from pizza.changes.cursor import Cursor
from pizza.database.connection import BoundedConnection, connect
from pizza.database.errors import DatabaseUnavailable
from pizza.web.streams import catch_up
from pizza.web.streams import hub as hub_module
from pizza.web.streams.hub import StreamHub
from pizza.web.streams.stream import Stream

from ...support.waiting import wait_until
from .conftest import Place

CONNECTIONS = "select pid from pg_stat_activity where application_name = 'hub under test'"
Join = Callable[..., Stream]


class Database:
    """Where the hub's connections come from, and when there are none."""

    def __init__(self, db_url: str) -> None:
        self._db_url = db_url
        self.away = False
        self.asked = 0

    def connect(self) -> BoundedConnection:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailable("away, says the test")
        return connect(self._db_url, name="hub under test")


@pytest.fixture
def database(db_url: str) -> Database:
    return Database(db_url)


@pytest.fixture
def hub(database: Database) -> Iterator[StreamHub]:
    made = StreamHub(database.connect)
    yield made
    made.close()


@pytest.fixture
def join(hub: StreamHub, conn: BoundedConnection) -> Join:
    def opened(after: int | None = None) -> Stream:
        stream = Stream(on_close=hub.unsubscribe)
        position = hub.subscribe(stream, conn, None if after is None else Cursor(after))
        if after is None:
            stream.start_all(already_sent=live.positions_after(conn, position))
        return stream

    return opened


def numbers(stream: Stream, count: int) -> list[str]:
    """The orders of the next events."""
    found: list[str] = []
    while len(found) < count:
        parts = next(stream).decode().split('"order_number":"')[1:]
        found += [part.split('"')[0] for part in parts]
    return found


def test_all_streams_are_fed_by_one_connection_that_ends_with_them(
    join: Join, place: Place, conn: BoundedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_LINGER_SECONDS", 0.0)
    streams = [join() for _ in range(3)]
    order = place()
    assert [numbers(stream, 1) for stream in streams] == [[order]] * 3
    assert len(conn.execute(CONNECTIONS).fetchall()) == 1
    for stream in streams:
        stream.close()
    wait_until(lambda: not conn.execute(CONNECTIONS).fetchall(), 10, "the connection is closed")
    # And starts again, without what came in between.
    place()
    again = join()
    order = place()
    assert numbers(again, 1) == [order]


def test_nothing_is_missed_while_the_database_is_away(
    join: Join, place: Place, database: Database, conn: BoundedConnection
) -> None:
    stream = join()
    orders = [place()]
    assert numbers(stream, 1) == orders
    database.away = True
    conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'hub under test'"
    )
    asked = database.asked
    missed = [place() for _ in range(3)]
    wait_until(lambda: database.asked > asked, 10, "the hub reconnects to its database")

    database.away = False

    assert numbers(stream, 3) == missed


def test_missed_changes_come_page_by_page_and_before_new_ones(
    join: Join, place: Place, conn: BoundedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "PAGE", 2)
    before = live.head_position(conn)
    orders = [place() for _ in range(5)]
    first = join()
    stream = join(after=before)
    orders += [place() for _ in range(2)]
    assert numbers(stream, 7) == orders
    assert numbers(first, 2) == orders[5:]


def test_an_event_is_the_notification(
    join: Join, place: Place, client: FlaskClient, conn: BoundedConnection
) -> None:
    stream = join()
    order = place("delivery")
    assert client.post(f"/orders/{order}/cancel", json={"reason": "rain"}).status_code == 200
    rows = conn.execute(
        "select body from message where exchange = 'notifications_fanout' order by position"
    )
    bodies = [json.loads(bytes(body)) for (body,) in rows]
    assert [each["new_status"] for each in bodies] == ["received", "cancelled"]

    data = b""
    while data.count(b"data: ") < 2:
        data += next(stream)

    shown = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: ")]
    assert shown[1] == bodies[1]
    # What an order is, it is at the moment of the look.
    assert {**shown[0], "stage": bodies[0]["stage"]} == bodies[0]


def test_a_stream_gets_a_changed_estimate(
    hub: StreamHub, place: Place, conn: BoundedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_ESTIMATES_SECONDS", 0.0)
    order = place()
    stream = Stream(order, on_close=hub.unsubscribe)
    hub.subscribe(stream, conn)
    stream.start(0, live.changes_of_order(conn, order, 0))
    assert b"id: 1\n" in next(stream)
    for seconds in (1, 60):  # the first is no news
        conn.execute(
            "update orders set estimated_completion = estimated_completion"
            " + %s * interval '1 second' where number = %s",
            (seconds, order),
        )
    event = next(stream)
    assert event.startswith(b"event: order\n")
    assert b'"sequence":null' in event
    assert b'"old_status":"received","new_status":"received"' in event


def test_a_closed_hub_ends_its_streams_and_those_that_come(join: Join, hub: StreamHub) -> None:
    stream = join()
    hub.close()
    assert list(stream) == []
    assert list(join()) == []


def test_a_head_opens_no_stream(client: FlaskClient, place: Place) -> None:
    for path in ("/events", f"/orders/{place()}/events"):
        answer = client.head(path)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.data == b""


def test_refused_streams_have_the_open_ones_pinged_seldom_and_in_another_thread(
    join: Join, hub: StreamHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any client can cause refused streams, as often as it likes."""
    monkeypatch.setattr(hub_module, "_PING_SLICE", 2)
    pinged: list[tuple[Stream, str]] = []
    monkeypatch.setattr(
        Stream, "ping", lambda stream: pinged.append((stream, threading.current_thread().name))
    )
    streams = [join() for _ in range(5)]

    for _ in range(100):
        hub.ping()
    wait_until(lambda: len(pinged) >= 5, 10, "all are pinged")
    for _ in range(100):
        hub.ping()

    assert {thread for _, thread in pinged} == {"stream-hub"}
    assert {stream for stream, _ in pinged} == set(streams)
    assert len(pinged) == 5
