"""Idempotency keys: the same request places one order, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pizza.app import create_task_app
from pizza.database.connection import BoundedConnection, connect
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import (
    CapacityReached,
    IdempotencyConflict,
    IdempotencyKeyReused,
    KitchenPaused,
)
from pizza.domain.order import IdempotencyKey, OrderDraft, OrderItem, PlacedOrder
from pizza.orders import orders, set_capacity

KEY = IdempotencyKey("a key", b"digest")
DRAFT = OrderDraft("John Doe", (OrderItem("Pizza", 1, Decimal("10.00")),))


@pytest.fixture
def second_conn(db_url: str) -> Iterator[BoundedConnection]:
    """A second client's connection."""
    with connect(db_url, name="other") as second:
        yield second


def place(conn: BoundedConnection, key: IdempotencyKey | None = KEY) -> PlacedOrder:
    return orders.place_order(conn, DRAFT, key=key)


def count(conn: BoundedConnection, table: str) -> int:
    row = conn.execute(f"select count(*) from {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_the_same_key_gets_the_same_order_again(conn: BoundedConnection) -> None:
    first = place(conn)
    second = place(conn)

    assert not first.replayed
    assert second == replace(first, replayed=True)
    assert count(conn, "orders") == count(conn, "message where task is not null") == 1


def test_the_answer_stays_the_same_whatever_happens_to_the_order(
    conn: BoundedConnection,
) -> None:
    first = place(conn)
    conn.execute(
        "update orders set status = 'cancelled', priority = 9, version = version + 1,"
        " estimated_completion = now() + interval '1 hour', total_amount = 7"
    )

    assert place(conn) == replace(first, replayed=True)


def test_another_body_under_the_same_key_is_refused(conn: BoundedConnection) -> None:
    place(conn)

    with pytest.raises(IdempotencyKeyReused):
        place(conn, IdempotencyKey(KEY.key, b"another"))
    assert count(conn, "orders") == 1


def test_without_a_key_nothing_is_kept(conn: BoundedConnection) -> None:
    place(conn, None)
    place(conn, None)

    assert (count(conn, "orders"), count(conn, "idempotency_key")) == (2, 0)


def test_a_refusal_leaves_the_key_free(conn: BoundedConnection) -> None:
    set_capacity(conn, 1)
    place(conn, None)
    with pytest.raises(CapacityReached):
        place(conn)
    assert count(conn, "idempotency_key") == 0

    set_capacity(conn, 2)
    assert not place(conn).replayed


@pytest.mark.parametrize("refusal", [CapacityReached, KitchenPaused])
def test_a_repetition_is_answered_though_nothing_more_is_taken(
    conn: BoundedConnection, refusal: type[Exception]
) -> None:
    first = place(conn)
    if refusal is CapacityReached:
        set_capacity(conn, 1)
    else:
        conn.execute("update kitchen_state set paused = true")
    with pytest.raises(refusal):
        place(conn, None)

    assert place(conn) == replace(first, replayed=True)


def test_a_rolled_back_order_takes_its_key_with_it(conn: BoundedConnection) -> None:
    with pytest.raises(ZeroDivisionError), conn.transaction():
        place(conn)
        raise ZeroDivisionError
    assert count(conn, "idempotency_key") == 0

    assert not place(conn).replayed


def test_a_key_in_flight_is_waited_for_and_then_refused(
    conn: BoundedConnection, second_conn: BoundedConnection
) -> None:
    place(conn, None)  # the first order of a day holds up all others
    with conn.transaction():
        first = place(conn)
        with pytest.raises(IdempotencyConflict):
            place(second_conn)
        # A wait that fails leaves no lock on its connection.
        assert second_conn.execute("show lock_timeout").fetchone() == ("0",)
        place(second_conn, IdempotencyKey("another key", KEY.digest))

    assert place(second_conn) == replace(first, replayed=True)


def test_an_answer_that_comes_too_late_leaves_the_key_free(conn: BoundedConnection) -> None:
    conn.statement_timeout = -1.0
    with pytest.raises(DatabaseUnavailable):
        place(conn)


def test_racing_requests_place_one_order(conn: BoundedConnection, db_url: str) -> None:
    racers = 16
    start = threading.Barrier(racers)

    def race(_: Any) -> PlacedOrder:
        with connect(db_url, name="racer") as own:
            start.wait()
            return place(own)

    with ThreadPoolExecutor(racers) as crowd:
        placed = list(crowd.map(race, range(racers)))

    assert len({order.number for order in placed}) == 1
    assert sorted(order.replayed for order in placed) == [False] + [True] * (racers - 1)
    assert count(conn, "orders") == 1


def test_a_key_is_forgotten_after_a_day(conn: BoundedConnection) -> None:
    (task,) = [each for each in create_task_app().periodic_tasks if each.name == "order keys"]
    first = place(conn)
    conn.execute("update idempotency_key set kept_at = kept_at - interval '23 hours 50 minutes'")
    task.run(conn)
    assert place(conn).replayed

    conn.execute("update idempotency_key set kept_at = kept_at - interval '11 minutes'")
    task.run(conn)
    second = place(conn)
    assert not second.replayed
    assert second.number != first.number
