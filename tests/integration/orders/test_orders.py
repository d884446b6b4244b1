"""Placing orders: the rules of the domain and the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pizza.database.connection import BoundedConnection
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import CapacityReached, OrderNotFound
from pizza.domain.order import OrderDraft, OrderItem
from pizza.kitchen import cooking, estimates
from pizza.orders import orders, set_capacity


def draft(total: str = "10.00", **fields: Any) -> OrderDraft:
    name = fields.pop("customer_name", "John Doe")
    return OrderDraft(name, (OrderItem("Pizza", 1, Decimal(total)),), **fields)


@pytest.mark.parametrize(
    ("total", "priority"), [("49.99", 1), ("50.00", 5), ("100.00", 5), ("100.01", 10)]
)
def test_the_total_decides_the_priority(conn: BoundedConnection, total: str, priority: int) -> None:
    assert orders.place_order(conn, draft(total)).priority == priority


def test_a_second_order_of_a_customer_has_medium_priority(conn: BoundedConnection) -> None:
    assert [orders.place_order(conn, draft()).priority for _ in range(2)] == [1, 5]


def test_an_override_wins_over_a_repeat_customer(conn: BoundedConnection) -> None:
    orders.place_order(conn, draft())

    assert orders.place_order(conn, draft(priority=2)).priority == 2


def test_order_messages_have_the_fields_that_their_readers_know_as_ours(
    conn: BoundedConnection,
) -> None:
    orders.place_order(conn, draft())
    conn.execute("update orders set version = 2")
    written = "select json_object_keys(convert_from(order_message(o), 'UTF8')::json) from orders o"
    assert {name for (name,) in conn.execute(written)} == cooking.FIELDS
    first = "select convert_from(body, 'UTF8')::json from message where task = 'cook_order'"
    (sent,) = conn.execute(first).fetchone()
    assert sent.keys() <= cooking.FIELDS


@pytest.mark.parametrize(
    ("fields", "queue", "key"),
    [
        ({}, "kitchen_takeout_queue", "kitchen.takeout.1"),
        (
            {"order_type": "dine-in", "table_number": 3, "rush": True},
            "kitchen_dine_in_queue",
            "kitchen.dine-in.10",
        ),
        (
            {"order_type": "delivery", "delivery_address": "1 Main St"},
            "kitchen_delivery_queue",
            "kitchen.delivery.1",
        ),
    ],
)
def test_an_order_goes_to_the_queue_of_its_type(
    conn: BoundedConnection, fields: dict[str, Any], queue: str, key: str
) -> None:
    orders.place_order(conn, draft(**fields))

    sent = conn.execute("select queue, routing_key from message where task is not null")
    assert sent.fetchall() == [(queue, key)]


def test_a_full_restaurant_names_its_limit(conn: BoundedConnection) -> None:
    set_capacity(conn, 1)
    orders.place_order(conn, draft())

    with pytest.raises(CapacityReached, match="takes 1 orders at a time"):
        orders.place_order(conn, draft())


def test_zero_means_no_cap(conn: BoundedConnection) -> None:
    set_capacity(conn, 0)

    assert len({orders.place_order(conn, draft()).number for _ in range(70)}) == 70


def test_an_order_that_comes_too_late_is_refused_as_an_absent_database(
    conn: BoundedConnection,
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)

    with pytest.raises(DatabaseUnavailable):
        orders.place_order(conn, draft(), deadline=past)


def test_an_order_that_reaches_the_server_when_nobody_waits_for_the_answer_is_not_stored(
    conn: BoundedConnection,
) -> None:
    """The connection's own limit counts, however late the caller's deadline is."""
    with conn.timeout_scope(0), pytest.raises(DatabaseUnavailable):
        orders.place_order(conn, draft(), deadline=datetime.now(UTC) + timedelta(hours=1))


def test_the_estimate_is_one_cooking_time_for_an_idle_kitchen(conn: BoundedConnection) -> None:
    placed = orders.place_order(
        conn, draft(order_type="delivery", delivery_address="1 Main St"), base_seconds=10
    )

    assert placed.estimated_completion == placed.created_at + timedelta(seconds=12)


def test_the_estimate_grows_with_the_queue(conn: BoundedConnection) -> None:
    waits = [
        (placed.estimated_completion or placed.created_at) - placed.created_at
        for placed in (orders.place_order(conn, draft()) for _ in range(5))
    ]

    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=10)
    assert waits[-1] > waits[0]


def test_with_hundreds_waiting_the_estimate_goes_by_the_last_count(conn: BoundedConnection) -> None:
    set_capacity(conn, 0)
    conn.execute(
        """insert into message (state, task, queue, exchange, routing_key, body)
           select 'sent', 'cook_order', 'kitchen_takeout_queue', '', '', ''
           from generate_series(1, 300)"""
    )
    estimates.refresh_estimates(conn)

    placed = orders.place_order(conn, draft())

    assert placed.estimated_completion is not None
    wait = placed.estimated_completion - placed.created_at
    assert timedelta(seconds=10 * 300) <= wait <= timedelta(seconds=10 * 302)


def test_what_nobody_ordered_is_not_found(conn: BoundedConnection) -> None:
    with pytest.raises(OrderNotFound):
        orders.order_status(conn, "ORD_20241216_001")
