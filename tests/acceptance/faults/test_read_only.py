"""PostgreSQL refuses writes for a while: orders are 503, nothing is lost or cooked twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from ...support.restaurant import Restaurant, eventually, meal

Block = Callable[[], AbstractContextManager[None]]

# Longer than the cooking, and than a worker's lease.
OUTAGE_S = 5.0
LEASE_S = 3.0


def test_orders_are_503_meanwhile_and_201_afterwards(
    restaurant: Restaurant, reading_only: Block
) -> None:
    number = restaurant.place()

    with reading_only():
        answers = restaurant.rush([meal() for _ in range(16)])
        ready = restaurant.client.get("/readyz")
        reading = restaurant.client.get(f"/orders/{number}/status")
        cancel = restaurant.client.post(f"/orders/{number}/cancel")

    assert {answer.status for answer in (*answers, cancel)} == {503}
    assert all(answer.is_problem for answer in (*answers, cancel))
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in (*answers, cancel))
    assert "postgres" not in str([answer.document for answer in answers]).casefold()
    assert reading.status == 200
    assert (ready.status, ready.document["checks"]["database"]) == (503, "read-only")
    eventually(lambda: restaurant.client.order(meal()).status == 201, 10, "an order is accepted")
    assert len(restaurant.ledger.orders()) == 2
    restaurant.start_cook("mario")
    eventually(lambda: restaurant.ledger.count("ready") == 2, 15, "both are cooked")


def test_a_cook_in_the_middle_of_an_order_brings_it_to_its_end(
    new_restaurant: Callable[[], Restaurant], reading_only: Block
) -> None:
    restaurant = new_restaurant()
    service = restaurant.open()
    cooks = restaurant.start_cooks(["mario", "luigi"], cooking_time=1.5, lease=LEASE_S)
    numbers = restaurant.place_in_turn([meal() for _ in range(4)])
    eventually(lambda: restaurant.ledger.count("cooking") == 2, 10, "two orders are cooking")

    with reading_only():
        time.sleep(OUTAGE_S)  # the length of the outage

    restaurant.ledger.wait_for("ready", numbers, 30)
    restaurant.ledger.check_all_ready()
    # The cooks kept their leases, so no cook takes over from another.
    assert len(restaurant.ledger.cookings()) == len(numbers)
    for program in (service, *cooks):
        assert program.running
        lines = program.lines
        assert not [line for line in lines if line["level"] == "ERROR"], lines
        assert not [line for line in lines if "Traceback" in str(line)], lines
    told = [line for cook in cooks for line in cook.lines if line["action"] == "database_lost"]
    assert len(told) == 2
    assert {line["level"] for line in told} == {"WARN"}
