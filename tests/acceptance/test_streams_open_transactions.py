"""Streams over real HTTP while transactions that changed an order stay open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pizza.database.connection import BoundedConnection, connect

from ..support.api_service import Service, module_service
from ..support.restaurant.sse_client import Event, EventStream
from ..support.waiting import Stopwatch

MEAL = {
    "customer_name": "Jane Roe",
    "order_type": "takeout",
    "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}],
}
# What psql is left with: a change of an order that is not committed.
CHANGE = """
with changed as (
    update orders set version = version + 1 where number = %s returning id, status, version
)
insert into order_status_log (order_id, status, changed_by, sequence)
select id, status, 'psql', version from changed
"""

# Less than the time between two pings, which would keep a test waiting for an event without end.
TIMEOUT_S = 14.0

service = module_service("--max-concurrent=0", "--web-workers=1")


@pytest.fixture
def psql(service: Service) -> Iterator[BoundedConnection]:
    with connect(service.db_url, name="psql") as conn:
        yield conn


def placed(service: Service) -> dict[str, Any]:
    reply = service.order(MEAL)
    assert reply.status == 201, reply.body
    return reply.json


def change(conn: psycopg.Connection[Any], number: str) -> None:
    conn.execute(CHANGE, (number,))


def follow(service: Service, path: str, last: str | None = None) -> EventStream:
    headers = {} if last is None else {"Last-Event-ID": last}
    return EventStream(service.port, path, headers, timeout=TIMEOUT_S)


def told(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.data["order_number"], event.data["sequence"]) for event in events]


@contextmanager
def another(service: Service, servers: Any, folder: Path) -> Iterator[Service]:
    """One more order service on the same database."""
    folder.mkdir()
    made = Service(
        folder, service.db_url, servers.rabbitmq.url, "--max-concurrent=0", "--web-workers=1"
    )
    try:
        made.program.wait_for("service_started")
        yield made
    finally:
        made.program.process.finish(1)


def test_other_orders_are_streamed_within_a_second_and_late_changes_when_they_commit(
    service: Service, psql: BoundedConnection
) -> None:
    order = placed(service)
    number = order["order_number"]
    with (
        follow(service, "/events") as board,
        follow(service, f"{order['tracking_url']}/events") as tracker,
    ):
        assert told(tracker.take(1)) == [(number, 1)]
        with psql.transaction():
            change(psql, number)
            watch = Stopwatch()
            others = [placed(service) for _ in range(5)]
            assert told(board.take(5)) == [(each["order_number"], 1) for each in others]
            watch.assert_within(1)

            other = others[0]["order_number"]
            with follow(service, f"/orders/{other}/events") as live:
                assert told(live.take(1)) == [(other, 1)]
                watch = Stopwatch()
                body = json.dumps({"reason": "changed their mind"}).encode()
                assert service.request("POST", f"/orders/{other}/cancel", body).status == 200
                assert [event.kind for event in live.take(2)] == ["order", "end"]
                watch.assert_within(1)
            assert told(board.take(1)) == [(other, 2)]
        watch = Stopwatch()
        assert told(board.take(1)) == [(number, 2)]
        assert told(tracker.take(1)) == [(number, 2)]
        watch.assert_within(1)


def test_a_late_change_comes_once_after_a_reconnect_to_any_process(
    service: Service, psql: BoundedConnection, servers: Any, tmp_path: Path
) -> None:
    numbers = [placed(service)["order_number"] for _ in range(2)]

    with connect(service.db_url, name="other psql") as other, ExitStack() as opened:
        psql.execute("begin")
        change(psql, numbers[0])
        other.execute("begin")
        change(other, numbers[1])
        with follow(service, "/events") as board:
            last = placed(service)["order_number"]
            (seen,) = board.take(1)
            assert seen.data["order_number"] == last
        # While no stream is open.
        psql.execute("commit")
        with follow(service, "/events", seen.id) as board:
            (late,) = board.take(1)
            assert told([late]) == [(numbers[0], 2)]

        second = opened.enter_context(another(service, servers, tmp_path / "second"))
        board = opened.enter_context(follow(second, "/events", late.id))
        last = placed(service)["order_number"]
        (seen,) = board.take(1)
        assert seen.data["order_number"] == last
        # A process that begins after the change was made.
        third = opened.enter_context(another(service, servers, tmp_path / "third"))
        elsewhere = opened.enter_context(follow(third, "/events", seen.id))
        other.execute("commit")
        for stream in (board, elsewhere):
            assert told(stream.take(1)) == [(numbers[1], 2)]
        change(psql, numbers[1])
        for stream in (board, elsewhere):
            assert told(stream.take(1)) == [(numbers[1], 3)]


def test_a_plain_position_is_still_an_id(service: Service) -> None:
    first = placed(service)["order_number"]
    with follow(service, "/events", "0") as board:
        before = board.take(1)[0]
        while before.data["order_number"] != first:
            before = board.take(1)[0]
    assert before.id.isdigit()
    second = placed(service)["order_number"]
    for last in (before.id, f"{before.id}~"):  # what is no id counts as none
        with follow(service, "/events", last) as board:
            expected = second if last.isdigit() else placed(service)["order_number"]
            assert board.take(1)[0].data["order_number"] == expected
