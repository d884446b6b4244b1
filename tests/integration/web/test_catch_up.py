"""What a stream missed between two connections, while a gap is filled."""

from __future__ import annotations

import pytest

from pizza.changes.cursor import Cursor
from pizza.changes.feed import ChangeFeed
from pizza.database.connection import BoundedConnection, connect
from pizza.web.streams import catch_up
from pizza.web.streams.catch_up import CatchUp
from pizza.web.streams.sse import EncodedChange

from .conftest import Place
from .test_stream_gaps import change


def summary(news: list[EncodedChange]) -> list[tuple[str, int | None]]:
    return [(each.change.number, each.change.sequence) for each in news]


def test_a_change_that_fills_a_gap_is_left_to_the_feed_and_comes_once(
    place: Place, conn: BoundedConnection, db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "PAGE", 2)
    orders = [place(), place()]
    feed = ChangeFeed.start_now(conn)
    last = feed.position
    catching_up = CatchUp(Cursor(last))
    with connect(db_url, name="slow") as slow, slow.transaction():
        change(slow, orders[0])
        for _ in range(3):
            change(conn, orders[1])
        feed.read(conn)
        assert len(feed.read(conn)) == 3
    # Committed, and not yet read by the feed.
    page = catching_up.read_page(conn, feed)
    assert summary(page) == [(orders[1], 2)]
    assert str(page[-1].cursor) == f"{last + 2}~{last + 1}"
    assert catching_up.has_more

    late = catching_up.select_late(feed.read(conn))

    assert summary(late) == [(orders[0], 2)]
    assert str(late[-1].cursor) == f"{last + 2}"
    page = catching_up.read_page(conn, feed)
    assert summary(page) == [(orders[1], 3), (orders[1], 4)]
    assert str(page[-1].cursor) == f"{last + 4}"
    assert catching_up.read_page(conn, feed) == []
    assert not catching_up.has_more


def test_a_change_that_commits_beyond_the_page_comes_with_a_later_page(
    place: Place, conn: BoundedConnection, db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "PAGE", 2)
    orders = [place(), place()]
    feed = ChangeFeed.start_now(conn)
    catching_up = CatchUp(Cursor(feed.position))
    with connect(db_url, name="slow") as slow, slow.transaction():
        for _ in range(2):
            change(conn, orders[1])
        change(slow, orders[0])
        change(conn, orders[1])
        feed.read(conn)
        feed.read(conn)
        assert summary(catching_up.read_page(conn, feed)) == [(orders[1], 2), (orders[1], 3)]
    assert catching_up.select_late(feed.read(conn)) == []
    assert summary(catching_up.read_page(conn, feed)) == [(orders[0], 2), (orders[1], 4)]
