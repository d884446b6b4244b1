"""A stream: what it sends, in which order, and when it ends."""

import threading
from datetime import UTC, datetime
from uuid import UUID

import pytest

from pizza.changes.cursor import Cursor
from pizza.changes.storage import Change
from pizza.web.streams import sse, stream
from pizza.web.streams.hub import _AUTHORIZATION_SECONDS, StreamHub
from pizza.web.streams.stream import Stream

NOON = datetime(2024, 12, 16, 12, tzinfo=UTC)
NUMBER = "ORD_20241216_001"


def change(sequence=1, status="received", position=None, number=NUMBER, notes=None):
    return Change(
        position or sequence * 10, number, None, status, "mario", NOON, NOON,
        UUID(int=sequence), sequence, "takeout", 5, "kitchen", "Jo Doe", notes,
    )  # fmt: skip


def news(*changes):
    return [sse.EncodedChange(each) for each in changes]


def of_all(*cursors, late=None, **fields):
    """Changes with these cursors: the newest of each, or one that is late."""
    found = [Cursor.parse(text) for text in cursors]
    return [
        sse.EncodedChange(change(position=late or each.position, **fields), each) for each in found
    ]


def ids(data):
    return [line[4:] for line in data.decode().split("\n") if line.startswith("id: ")]


def test_a_stream_starts_with_the_reconnection_time():
    body = Stream(NUMBER)
    body.start(0, [change()])
    assert next(body).startswith(b"retry: 2000\n\nid: 1\nevent: order\ndata: {")


def test_changes_before_the_start_follow_and_none_comes_twice():
    body = Stream(NUMBER)
    body.enqueue(news(change(2, "cooking"), change(3, "ready")))
    body.start(0, [change(1), change(2, "cooking")])
    body.enqueue(news(change(3, "ready"), change(4, "delivered")))
    assert ids(next(body)) == ["1", "2", "3", "4"]


def test_a_stream_of_all_orders_has_cursors_and_omits_received_changes():
    body = Stream(event_filter=lambda change: change.status != "cooking")
    body.enqueue(of_all("41~39", "42~39", "43~39"))
    body.start_all(already_sent=frozenset({42}))
    body.enqueue([*of_all("44~39", status="cooking"), *of_all("45~39")])
    assert ids(next(body)) == ["41~39", "43~39", "45~39"]


def test_a_continued_stream_omits_received_changes_and_merges_the_cursors():
    """Its client got more from another process, which had read up to 44."""
    body = Stream()
    body.start_all(Cursor.parse("44~39.43"))
    body.enqueue(of_all("41~38-39", "42~38-39", "43~38-39", "44~38-39"))
    body.enqueue(of_all("44~39", late=38))
    body.enqueue(of_all("45~39"))
    body.enqueue(of_all("45", late=39))
    assert ids(next(body)) == ["44~39", "45~39", "45"]


def test_an_order_that_ends_ends_its_stream():
    body = Stream(NUMBER)
    body.start(1, [change(2, "delivered"), change(3, "delivered")])
    data = next(body)
    assert ids(data) == ["2"]
    assert data.endswith(
        b'event: end\ndata: {"order_number":"ORD_20241216_001","status":"delivered"}\n\n'
    )
    with pytest.raises(StopIteration):
        next(body)


def test_notes_of_several_lines_stay_one_line_of_data():
    body = Stream(NUMBER)
    body.start(0, [change(notes="first\n\nid: 99\r\nthird")])
    assert ids(next(body)) == ["1"]


def test_strangers_get_no_names():
    body = Stream(NUMBER, include_private=False)
    body.start(0, [change(notes="for Jo Doe")])
    data = next(body)
    assert b"Jo Doe" not in data
    assert b"priority" not in data
    assert b'"stage":"kitchen"' in data


def test_a_client_that_takes_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr(stream, "MAX_BUFFERED_BYTES", 1000)
    body = Stream()
    body.start_all()
    for position in range(1, 10):
        body.enqueue(of_all(str(position)))
    assert body.is_idle
    with pytest.raises(StopIteration):
        next(body)


def test_a_sign_of_life_comes_in_time(monkeypatch):
    monkeypatch.setattr(stream, "PING_SECONDS", 0.0)
    body = Stream()
    assert next(body) == next(body) == sse.PING


def test_the_hub_ends_streams_that_lost_their_right_and_no_others():
    asked = []
    hub = StreamHub(lambda: None, asked.append)
    bodies = [Stream(is_authorized=lambda: True), Stream(is_authorized=lambda: False), Stream()]
    for body in bodies:
        hub._by_number[None].add(body)
    hub._end_unauthorized()

    received = [next(body, "end") for body in bodies]
    assert received == [sse.RETRY, "end", sse.RETRY]
    hub._end_unauthorized()
    assert asked == [_AUTHORIZATION_SECONDS]  # one check for all of them, and not again at once


@pytest.mark.parametrize("wake", ["abort", "close", "ping"])
def test_a_waiting_stream_gets_it_at_once(wake):
    body = Stream()
    body.start_all()
    next(body)
    received = []
    waiting = threading.Thread(target=lambda: received.append(next(body, "end")))
    waiting.start()
    getattr(body, wake)()
    waiting.join(10)
    assert received == [sse.PING if wake == "ping" else "end"]


def test_a_stream_is_closed_once():
    closed = []
    body = Stream(on_close=closed.append)
    body.close()
    body.close()
    assert closed == [body]
