"""Storing orders and reading them again, on a real PostgreSQL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.domain.errors import OrderNotFound
from pizza.domain.priority import AssignedPriority
from pizza.orders import storage as orders

Place = Callable[..., tuple[str, SimpleNamespace]]


def count(conn: BoundedConnection, table: str) -> int:
    row = conn.execute(f"select count(*) from {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_one_call_stores_the_order_its_items_its_log_and_its_messages(
    conn: BoundedConnection, place: Place
) -> None:
    verdict, placed = place()

    assert verdict == "placed"
    assert re.fullmatch(r"ORD_\d{8}_001", placed.number)
    assert placed.total_amount == Decimal("32.00")
    items = conn.execute("select name, quantity, price from order_items order by position")
    assert items.fetchall() == [("Pizza", 2, Decimal("15.99")), ("Tea", 1, Decimal("0.02"))]
    assert count(conn, "order_status_log") == 1
    sent = conn.execute("select exchange, routing_key, priority from message order by position")
    assert sent.fetchall() == [
        ("orders_topic", "kitchen.takeout.1", 1),
        ("notifications_fanout", "order.received", 0),
    ]


def test_prices_in_messages_have_two_places(conn: BoundedConnection, place: Place) -> None:
    place()

    row = conn.execute("select body from message where task is not null").fetchone()
    assert row is not None
    body = json.loads(bytes(row[0]), parse_float=Decimal)
    assert [item["price"] for item in body["items"]] == [Decimal("15.99"), Decimal("0.02")]
    assert str(body["total_amount"]) == "32.00"


def test_numbers_count_from_one_each_day_and_grow_past_three_digits(
    conn: BoundedConnection, place: Place
) -> None:
    assert place()[1].number.endswith("_001")
    assert place()[1].number.endswith("_002")

    conn.execute("update order_day set day = day - 1")
    conn.execute("update orders set number = 'Y' || number")
    assert place()[1].number.endswith("_001")
    conn.execute("select setval('order_number', (select max(first) from order_day) + 998)")
    assert place()[1].number.endswith("_999")
    assert place()[1].number.endswith("_1000")


def test_numbers_are_unique_when_many_come_at_once(db_url: str, place: Place) -> None:
    def client(_: int) -> list[str]:
        with connect(db_url, name="guest") as mine:
            orders.set_capacity(mine, 1000)
            return [place(mine)[1].number for _ in range(10)]

    with ThreadPoolExecutor(8) as crowd:
        numbers = [number for mine in crowd.map(client, range(8)) for number in mine]

    assert len(set(numbers)) == 80


def test_a_customer_who_ordered_before_is_a_repeat_customer(place: Place) -> None:
    assert place(customer_name="Ann  Lee")[1].priority == 1

    again = place(customer_name="ann lee ")[1]

    assert (again.priority, again.rule) == (5, "repeat customer")


def test_a_cancelled_order_makes_no_repeat_customer(conn: BoundedConnection, place: Place) -> None:
    place()
    conn.execute("update orders set status = 'cancelled'")

    assert place()[1].priority == 1


def test_the_rule_is_in_the_log(conn: BoundedConnection, place: Place) -> None:
    placed = place(
        first=AssignedPriority(10, "VIP customer"), repeat=AssignedPriority(10, "VIP customer")
    )[1]

    (change,) = orders.list_status_changes(conn, placed.number)

    assert (change.status, change.changed_by) == ("received", "order-service")
    assert change.notes == "priority 10: VIP customer"


def test_an_order_past_its_deadline_is_not_stored(conn: BoundedConnection, place: Place) -> None:
    assert place(expires_at=datetime.now(UTC) - timedelta(milliseconds=1)) == ("late", None)

    assert count(conn, "orders") == count(conn, "message") == 0


@pytest.mark.parametrize("limit", [1, 7, 63, 64, 65, 130])
def test_the_cap_is_exact_for_any_number(conn: BoundedConnection, place: Place, limit: int) -> None:
    orders.set_capacity(conn, limit)

    verdicts = [place()[0] for _ in range(limit + 3)]

    assert verdicts == ["placed"] * limit + ["full"] * 3


def test_a_lowered_cap_lets_nobody_in_before_the_debt_is_paid(
    conn: BoundedConnection, place: Place
) -> None:
    orders.set_capacity(conn, 10)
    for _ in range(10):
        place()

    orders.set_capacity(conn, 4)
    outcomes = []
    for _ in range(8):
        outcomes.append(place()[0])
        conn.execute("select capacity_release()")

    assert outcomes == ["full"] * 7 + ["placed"]


def test_without_a_cap_no_place_is_counted_and_a_cap_that_comes_later_counts_right(
    conn: BoundedConnection, db_url: str, place: Place
) -> None:
    places = "select sum(share - free)::int from kitchen_capacity"
    orders.set_capacity(conn, 0)
    assert [place()[0] for _ in range(3)] == ["placed"] * 3
    conn.execute("select capacity_release()")
    assert conn.execute(places).fetchone() == (0,)

    # A guest is under way, and has seen that there is none, when one is set
    with connect(db_url, name="guest") as client, ThreadPoolExecutor(1) as office:
        with client.transaction():
            assert place(client)[0] == "placed"
            setting = office.submit(orders.set_capacity, conn, 5)
            waits = "select count(*) from pg_locks where not granted"
            with connect(db_url, name="witness") as witness:
                while witness.execute(waits).fetchone() == (0,):
                    assert not setting.done(), "it waits for him"
        setting.result()

    assert conn.execute(places).fetchone() == (4,)
    assert [place()[0] for _ in range(2)] == ["placed", "full"]


def test_the_status_has_the_state_of_the_order(conn: BoundedConnection, place: Place) -> None:
    placed = place(order_type="dine-in", table_number=4)[1]

    status = orders.get_status(conn, placed.number)

    assert (status.status, status.order_type, status.version) == ("received", "dine-in", 1)
    assert status.updated_at == placed.created_at
    assert status.processed_by is None


@pytest.mark.parametrize("number", ["ORD_20241216_001", "", "ORD'; drop table orders; --"])
def test_an_unknown_order_is_not_found(conn: BoundedConnection, number: str) -> None:
    with pytest.raises(OrderNotFound):
        orders.get_status(conn, number)
    with pytest.raises(OrderNotFound):
        orders.list_status_changes(conn, number)


@pytest.mark.parametrize("name", ["O'Neil; --", "Ünïcødé 🍕", "two\nlines", "a" * 100])
def test_odd_but_legal_names_are_stored_as_given(
    conn: BoundedConnection, place: Place, name: str
) -> None:
    place(customer_name=name)

    assert conn.execute("select customer_name from orders").fetchone() == (name,)
