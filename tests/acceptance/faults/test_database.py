"""PostgreSQL crashed or hung: 503 within two seconds, and normal service afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from devservices import Postgres

from ...support.restaurant import Restaurant, eventually, meal
from ...support.restaurant.outages import down, hung
from ...support.waiting import Stopwatch

Outage = Callable[[Postgres], AbstractContextManager[None]]


@pytest.mark.parametrize("outage", [down, hung])
def test_orders_are_503_within_two_seconds_and_accepted_again_afterwards(
    restaurant: Restaurant, outage: Outage
) -> None:
    cook = restaurant.start_cook("mario")
    number = restaurant.place()
    restaurant.ledger.wait_for("ready", [number], 5)

    with outage(restaurant.servers.postgres):
        watch = Stopwatch()
        answers = restaurant.rush([meal() for _ in range(32)])
        answers += restaurant.rush([meal() for _ in range(4)], clients=2)
        answers.append(restaurant.client.get(f"/orders/{number}/status"))
        answers.append(restaurant.client.get("/workers/status"))
        watch.assert_within(2.0, max(answer.seconds for answer in answers))

    assert {answer.status for answer in answers} == {503}
    assert all(answer.is_problem for answer in answers)
    assert all("retry-after" in answer.headers for answer in answers)
    assert "postgres" not in str([answer.document for answer in answers]).casefold()
    eventually(lambda: restaurant.client.order(meal()).status == 201, 10, "an order is accepted")
    eventually(lambda: all_ready(restaurant), 10, "it is cooked")
    assert next(iter(restaurant.ledger.orders())) == number
    assert len(restaurant.ledger.orders()) == 2
    assert cook.running
    assert restaurant.service is not None and restaurant.service.running


def all_ready(restaurant: Restaurant) -> bool:
    return restaurant.ledger.count("ready") == len(restaurant.ledger.orders())


def test_orders_refused_during_a_hang_are_not_stored_after_it(restaurant: Restaurant) -> None:
    """The server continues right after requests were refused, and gets their statements then."""
    postgres = restaurant.servers.postgres
    refused: set[str] = set()
    for length in (0.0, 0.2, 0.5):
        meals = [meal() for _ in range(16)]
        with hung(postgres):
            answers = restaurant.rush(meals)
            assert {answer.status for answer in answers} == {503}
            refused |= {order["customer_name"] for order in meals}
            time.sleep(length)
        restaurant.serves_again()

    stored = {order["customer_name"] for order in restaurant.ledger.orders().values()}
    assert stored & refused == set()
    restaurant.start_cook("mario")
    eventually(lambda: all_ready(restaurant), 5, "those that were taken are cooked")


@pytest.mark.parametrize("outage", [down, hung])
def test_an_order_that_is_cooking_meanwhile_is_ready_once_after_it(
    restaurant: Restaurant, outage: Outage
) -> None:
    restaurant.serves_again()
    restaurant.start_cooks(["mario", "luigi"], cooking_time=1.5)
    numbers = restaurant.place_in_turn([meal(), meal(), meal()])
    eventually(lambda: restaurant.ledger.count("cooking") == 2, 5, "two orders are cooking")

    with outage(restaurant.servers.postgres):
        time.sleep(2)  # the length of the outage: longer than the cooking

    restaurant.ledger.wait_for("ready", numbers, 15)
    # The cooks kept their leases, so no cook takes over from another.
    assert len(restaurant.ledger.cookings()) == 3
