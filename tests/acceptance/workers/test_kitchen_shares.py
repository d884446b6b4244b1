"""Several cooks share the work; none holds an order that another could start."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from ...support.restaurant import Restaurant, eventually, meal
from ...support.restaurant.sample_orders import KINDS
from ...support.waiting import Stopwatch

COOKS = ("mario", "luigi", "anna")


def shares(restaurant: Restaurant) -> Counter[str]:
    return Counter(order["processed_by"] for order in restaurant.ledger.orders().values())


def assert_even(restaurant: Restaurant) -> None:
    """10 ± 2 each of 30, and the figures of /workers/status are exact."""
    counted = shares(restaurant)
    assert set(counted) == set(COOKS)
    assert all(8 <= count <= 12 for count in counted.values()), counted
    for name in COOKS:
        assert restaurant.worker(name)["orders_processed"] == counted[name]


def test_a_crowd_of_orders_is_shared_evenly(restaurant: Restaurant) -> None:
    restaurant.start_cooks(COOKS, cooking_time=0.3)

    numbers = restaurant.place_all([meal(kind) for kind in KINDS * 10])
    restaurant.ledger.wait_for("ready", numbers, 20)

    assert_even(restaurant)


def test_orders_that_come_one_by_one_are_shared_evenly(restaurant: Restaurant) -> None:
    restaurant.start_cooks(COOKS, cooking_time=0)

    for kind in KINDS * 10:
        number = restaurant.place(kind)
        restaurant.ledger.wait_for("ready", [number], 5)

    assert_even(restaurant)


def test_a_busy_cook_holds_no_second_order(restaurant: Restaurant) -> None:
    """A cook is busy for a minute, 24 orders wait in its three queues, and more cooks start."""
    busy = restaurant.start_cook("busy", cooking_time=60, grace=0)
    first = restaurant.place()
    restaurant.ledger.wait_for("cooking", [first], 5)
    numbers = restaurant.place_in_turn(meal(kind) for kind in KINDS * 8)
    eventually(lambda: restaurant.unacknowledged() == 1, 5, "it holds what it cooks, no more")

    helper = restaurant.start_cook("helper", cooking_time=0)
    restaurant.ledger.wait_for("ready", numbers, 5)

    assert [row.number for row in restaurant.ledger.cookings()] == [first, *numbers]
    assert shares(restaurant) == {"busy": 1, "helper": 24}
    busy.terminate()
    restaurant.ledger.wait_for("ready", [first], 5)
    assert busy.exit_code() == 0
    assert helper.running


def test_two_busy_cooks_hold_one_order_each(restaurant: Restaurant) -> None:
    cooks = restaurant.start_cooks(("mario", "luigi"), cooking_time=60, grace=0)
    numbers = restaurant.place_all([meal(kind) for kind in KINDS * 8])
    eventually(lambda: restaurant.ledger.count("cooking") == 2, 5, "both cook")

    eventually(lambda: restaurant.unacknowledged() == 2, 5, "they hold what they cook, no more")

    helper = restaurant.start_cook("anna", cooking_time=0)
    eventually(lambda: restaurant.ledger.count("ready") == 22, 5, "the rest is cooked")
    for cook in cooks:
        cook.terminate()
    restaurant.ledger.wait_for("ready", numbers, 5)
    assert helper.running


def test_cooks_that_are_added_start_at_once(restaurant: Restaurant) -> None:
    """From the moment it is connected a new cook needs no more than half a second."""
    busy = restaurant.start_cook("busy", cooking_time=60, grace=0)
    numbers = [restaurant.place("delivery"), restaurant.place("delivery")]
    eventually(lambda: restaurant.ledger.count("cooking") == 1, 5, "the first is busy")

    watch = Stopwatch()
    helper = restaurant.start_cook("helper", cooking_time=0)
    restaurant.ledger.wait_for("ready", numbers[1:], 5)

    connected = datetime.fromisoformat(helper.said("worker_connected")[0]["timestamp"])
    begun = restaurant.ledger.cookings()[1].changed_at
    watch.assert_within(0.5, (begun - connected).total_seconds())
    busy.terminate()
    restaurant.ledger.wait_for("ready", numbers, 5)
