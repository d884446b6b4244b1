"""When a cooking order is cancelled, its cook stops within a second and nothing of it remains."""

from __future__ import annotations

from pizza.database.connection import connect
from pizza.orders.actions import transition_order

from ...support.restaurant import eventually
from ...support.waiting import Stopwatch


def cancel(restaurant, number):
    with connect(restaurant.db_url, name="test") as conn:
        return transition_order(conn, number, "cancelled", by="boss", reason="guest left")


def test_a_cook_detects_a_cancellation_within_a_second_and_takes_the_next_order(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open()
    cook = restaurant.start_cook("chef", cooking_time=60)
    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 10)
    cancelled = Stopwatch()
    cancel(restaurant, number)
    cook.wait_for("job_cancelled", 5)
    cancelled.assert_within(1.5)
    # The next is begun at once, and the cancelled one never becomes ready.
    after = restaurant.place()
    restaurant.ledger.wait_for("cooking", [after], 5)
    cancel(restaurant, after)
    assert [row.status for row in restaurant.ledger.log(number)] == [
        "received",
        "cooking",
        "cancelled",
    ]
    eventually(lambda: not restaurant.ledger.rows("select 1 from message"), 5, "nothing is left")
    places = restaurant.ledger.rows("select sum(free) = sum(share) as free from kitchen_capacity")
    assert places == [{"free": True}]


def test_a_flood_of_cancels_and_cooks_agrees_on_every_order(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open()
    restaurant.start_cooks(["chef_1", "chef_2", "chef_3"], cooking_time=0.05)
    numbers = [restaurant.place() for _ in range(60)]
    outcomes = []
    for number in numbers:
        try:
            outcomes.append(cancel(restaurant, number).status)
        except Exception as error:
            outcomes.append(type(error).__name__)
    eventually(lambda: not restaurant.ledger.rows("select 1 from message"), 20, "all is over")
    for number, outcome in zip(numbers, outcomes, strict=True):
        statuses = [row.status for row in restaurant.ledger.log(number)]
        assert statuses[0] == "received"
        assert statuses[-1] == ("cancelled" if outcome == "cancelled" else "ready"), statuses
        assert statuses.count("ready") <= 1
    places = restaurant.ledger.rows("select sum(free) = sum(share) as free from kitchen_capacity")
    assert places == [{"free": True}]
