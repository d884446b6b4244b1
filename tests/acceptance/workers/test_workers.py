"""Registration of workers: ten at most, unique names, and what /workers/status shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ...support.restaurant import Restaurant, eventually, meal
from ...support.restaurant.program import TIMESTAMP
from ...support.restaurant.sample_orders import KINDS
from ...support.waiting import Stopwatch

TAKEN = "A worker named 'mario' is already at work; choose another name."
FULL = "10 workers are already at work, and there is room for no more."


def online(restaurant: Restaurant) -> set[str]:
    workers = restaurant.client.get("/workers/status").document
    return {worker["worker_name"] for worker in workers if worker["status"] == "online"}


def test_the_eleventh_worker_is_refused_and_accepted_once_another_has_left(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    staff = restaurant.start_cooks([f"chef_{place}" for place in range(1, 11)])
    assert online(restaurant) == {f"chef_{place}" for place in range(1, 11)}

    restaurant.start_cook_soon("one_too_many").refused(FULL)
    assert "one_too_many" not in online(restaurant)

    staff[0].kill()
    restaurant.start_cook("one_too_many")
    assert online(restaurant) == {"one_too_many", *(f"chef_{place}" for place in range(2, 11))}


def test_the_second_of_a_name_is_refused_and_the_first_works_on(restaurant: Restaurant) -> None:
    first = restaurant.start_cook("mario")

    second = restaurant.start_cook_soon("mario")
    second.refused(TAKEN)

    assert second.said("worker_refused")[0]["level"] == "ERROR"
    assert first.running
    assert online(restaurant) == {"mario"}
    number = restaurant.place()
    restaurant.ledger.wait_for("ready", [number], 5)
    assert restaurant.worker("mario")["orders_processed"] == 1


def test_of_two_workers_that_start_under_one_name_one_stays(restaurant: Restaurant) -> None:
    both = [restaurant.start_cook_soon("mario"), restaurant.start_cook_soon("mario")]

    eventually(lambda: not (both[0].running and both[1].running), 10, "one is refused")
    refused, welcome = sorted(both, key=lambda cook: cook.running)

    refused.refused(TAKEN)
    welcome.wait_for("worker_connected")


def test_a_worker_is_online_while_at_work_and_offline_after(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("mario")
    assert restaurant.worker("mario")["status"] == "online"

    assert cook.stop() == 0

    assert restaurant.worker("mario")["status"] == "offline"
    assert cook.lines[-1]["message"] == "Worker disconnected"


def test_a_killed_worker_is_offline_and_its_name_free_within_five_seconds(
    restaurant: Restaurant,
) -> None:
    cook = restaurant.start_cook("mario", cooking_time=60)
    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)

    killed = Stopwatch()
    cook.kill()
    eventually(lambda: restaurant.worker("mario")["status"] == "offline", 5, "mario is offline")
    killed.assert_within(5)
    restaurant.start_cook("mario", cooking_time=0)  # refused if the name were not free
    killed.assert_within(5)
    restaurant.ledger.wait_for("ready", [number], 5)
    assert restaurant.ledger.log(number)[2].notes == "taken over from mario"


def test_a_worker_that_returns_keeps_its_counts(restaurant: Restaurant) -> None:
    for done in (2, 4):
        cook = restaurant.start_cook("mario")
        numbers = restaurant.place_all([meal(), meal()])
        restaurant.ledger.wait_for("ready", numbers, 5)
        assert restaurant.worker("mario")["orders_processed"] == done
        assert cook.stop() == 0


def test_last_seen_moves_with_every_order(restaurant: Restaurant) -> None:
    restaurant.start_cook("mario")
    came = restaurant.worker("mario")["last_seen"]
    number = restaurant.place()
    restaurant.ledger.wait_for("ready", [number], 5)

    seen = restaurant.worker("mario")["last_seen"]

    assert TIMESTAMP.fullmatch(seen)
    assert came < seen
    assert abs((datetime.now(UTC) - datetime.fromisoformat(seen)).total_seconds()) < 5


def test_the_counts_of_all_workers_add_up(restaurant: Restaurant) -> None:
    names = ["mario", "luigi", "anna"]
    restaurant.start_cooks(names)

    numbers = restaurant.place_all([meal(kind) for kind in KINDS * 12])
    restaurant.ledger.wait_for("ready", numbers, 10)

    workers = restaurant.client.get("/workers/status").document
    assert [worker["worker_name"] for worker in workers] == sorted(names)
    assert sum(worker["orders_processed"] for worker in workers) == len(numbers)
