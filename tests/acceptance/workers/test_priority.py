"""Strict priority, then age, among all orders that a cook may cook, across its queues."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

from ...support.restaurant import LogRow, Restaurant, eventually, meal
from ...support.restaurant.sample_orders import KINDS

# Two orders fewer than all kinds and priorities twice over, in an order that favours no cook.
RUSH = 60
COOKS = ("mario", "luigi", "anna")


def mixed_meals() -> list[dict[str, Any]]:
    """60 orders: 30 of all types and priorities, and 30 that get theirs by the rules."""
    named = [meal(kind, priority=priority) for kind, priority in product(KINDS, range(1, 11))]
    ruled = [
        *(meal(kind, customer_type="vip") for kind in KINDS * 3),
        *(meal(kind, rush=True) for kind in KINDS * 3),
        *(meal(kind, items=[{"name": "Party", "quantity": 4, "price": 15}]) for kind in KINDS * 2),
        *(meal(kind) for kind in KINDS * 2),
    ]
    meals = named + ruled
    random.Random(60).shuffle(meals)
    return meals


def ranked(restaurant: Restaurant) -> list[str]:
    """The numbers of all orders, best first."""
    orders = restaurant.ledger.orders().values()
    best_first = sorted(orders, key=lambda order: (-order["priority"], order["created_at"]))
    return [order["number"] for order in best_first]


def test_one_cook_takes_sixty_orders_exactly_by_priority_then_age(restaurant: Restaurant) -> None:
    numbers = restaurant.place_in_turn(mixed_meals())
    assert {order["priority"] for order in restaurant.ledger.orders().values()} == set(range(1, 11))

    restaurant.start_cook("mario", cooking_time=0)
    restaurant.ledger.wait_for("ready", numbers, 15)

    assert [row.number for row in restaurant.ledger.cookings()] == ranked(restaurant)


def test_a_better_order_overtakes_those_that_wait(restaurant: Restaurant) -> None:
    """While a cook is busy a better order comes in, of another type than those that wait."""
    cook = restaurant.start_cook("mario", cooking_time=0.5)
    first = restaurant.place("takeout")
    restaurant.ledger.wait_for("cooking", [first], 5)
    cook.freeze()  # or it may be done before all are placed
    waiting = [restaurant.place("takeout"), restaurant.place("delivery", rush=True)]

    late_vip = restaurant.place("dine-in", customer_type="vip")
    sent = "select 1 from message where state = 'pending'"
    eventually(lambda: not restaurant.ledger.rows(sent), 5, "their tickets are at the broker")
    cook.thaw()
    restaurant.ledger.wait_for("ready", [first, *waiting, late_vip], 10)

    cooked = [row.number for row in restaurant.ledger.cookings()]
    assert cooked == [first, waiting[1], late_vip, waiting[0]]


def test_three_cooks_overtake_by_no_more_than_the_claims_in_flight(restaurant: Restaurant) -> None:
    """With three cooks each of the two others may be claiming at the same moment.

    A cook gets its order in one transaction and writes the start of cooking in the next,
    so an order may be written after at most two worse ones, one for each other cook. More
    would mean that a cook got a worse order while a better one was free.
    """
    numbers = restaurant.place_in_turn(mixed_meals())

    restaurant.start_cooks(COOKS, cooking_time=0.2)
    restaurant.ledger.wait_for("ready", numbers, 20)

    rank = {number: place for place, number in enumerate(ranked(restaurant))}
    starts = [rank[row.number] for row in restaurant.ledger.cookings()]
    overtaken = {
        mine: [other for other in starts[:place] if other > mine]
        for place, mine in enumerate(starts)
    }
    assert {mine: worse for mine, worse in overtaken.items() if len(worse) > 2} == {}
    assert no_cook_does_two_at_once(restaurant.ledger.log())


def no_cook_does_two_at_once(log: list[LogRow]) -> bool:
    busy: dict[str, str] = {}
    for row in log:
        if row.status == "cooking":
            if row.changed_by in busy:
                return False
            busy[row.changed_by] = row.number
        elif row.status == "ready":
            del busy[row.changed_by]
    return not busy
