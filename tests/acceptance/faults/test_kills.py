"""kill -9 of any one process at any moment: nothing is lost, nothing is doubled."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime

from devservices.proc import command_of
from devservices.reaper import descendants

from ...support.restaurant import LogRow, Program, Restaurant, eventually, meal
from ...support.restaurant.sample_orders import KINDS
from ...support.waiting import Stopwatch

Kills = list[tuple[str, datetime]]


def http_workers(service: Program) -> list[int]:
    """The processes in which requests are answered."""
    return [pid for pid in descendants(service.process.pid) if "spawn_main" in command_of(pid)]


def test_another_cook_takes_over_from_a_killed_one_at_once(restaurant: Restaurant) -> None:
    first = restaurant.start_cook("mario", cooking_time=60)
    number = restaurant.place("delivery")
    restaurant.ledger.wait_for("cooking", [number], 5)
    restaurant.start_cook("luigi", cooking_time=0)

    watch, killed = Stopwatch(), datetime.now(UTC)
    first.kill()
    restaurant.ledger.wait_for("ready", [number], 5)

    _, begun, again, ready = restaurant.ledger.log(number)
    assert (begun.status, begun.changed_by, begun.notes) == ("cooking", "mario", None)
    assert (again.status, again.changed_by) == ("cooking", "luigi")
    assert again.notes == "taken over from mario"
    assert (ready.status, ready.changed_by) == ("ready", "luigi")
    watch.assert_within(2, (again.changed_at - killed).total_seconds())
    assert restaurant.worker("mario")["orders_processed"] == 0
    assert restaurant.worker("luigi")["orders_processed"] == 1


def test_an_order_is_cooked_though_the_order_service_dies_right_after_its_201(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    """Its main process, which publishes, is frozen before: so it cannot have sent anything."""
    restaurant = new_restaurant()
    service = restaurant.open()
    os.kill(service.process.pid, signal.SIGSTOP)
    number = restaurant.place()

    service.kill()
    restaurant.start_cook("mario")

    restaurant.ledger.wait_for("ready", [number], 5)
    restaurant.open()
    assert restaurant.client.get(f"/orders/{number}/status").document["current_status"] == "ready"
    restaurant.ledger.check_all_ready()


def test_dead_http_workers_are_replaced(restaurant: Restaurant) -> None:
    service = restaurant.service
    assert service is not None
    before = http_workers(service)
    assert len(before) == 2
    restaurant.start_cook("mario")
    number = restaurant.place()

    for pid in before:
        os.kill(pid, signal.SIGKILL)

    eventually(lambda: len(set(http_workers(service)) - set(before)) == 2, 10, "two new workers")
    restaurant.serves_again()
    restaurant.ledger.wait_for("ready", [number, restaurant.place()], 5)
    service.wait_for("worker_respawned")


def test_ten_kills_among_forty_orders_lose_and_double_nothing(restaurant: Restaurant) -> None:
    """Three cooks of fixed names; each second or so one of them dies and another is hired."""
    names = ["mario", "luigi", "anna"]
    cooks = dict(zip(names, restaurant.start_cooks(names, cooking_time=0.8), strict=True))
    numbers = restaurant.place_all([meal(kind) for kind in (KINDS * 14)[:40]])
    chance = random.Random(10)
    kills: Kills = []

    for _ in range(10):
        victim = chance.choice(names)
        cooks[victim].wait_for("worker_connected")
        eventually(lambda: restaurant.ledger.count("cooking") >= 1, 10, "a cook starts")
        time.sleep(chance.uniform(0, 0.4))  # any moment
        cooks[victim].kill()
        kills.append((victim, datetime.now(UTC)))
        cooks[victim] = restaurant.start_cook_soon(victim, cooking_time=0.8)
    restaurant.start_cook("helper", cooking_time=0)
    restaurant.ledger.wait_for("ready", numbers, 20)
    for cook in cooks.values():
        cook.wait_for("worker_connected")

    assert set(restaurant.ledger.orders()) == set(numbers)
    assert overlapping_cookings(restaurant.ledger.log(), kills) == []


def overlapping_cookings(log: list[LogRow], kills: Kills) -> list[tuple[LogRow, LogRow]]:
    """Cookings that a cook began while he was still at another one, and had not died over it."""
    at_work: dict[str, LogRow] = {}
    overlaps = []
    for row in log:
        if row.status == "cooking":
            before = at_work.get(row.changed_by)
            if before and not died_between(row.changed_by, before, row, kills):
                overlaps.append((before, row))
            at_work = {cook: other for cook, other in at_work.items() if other.number != row.number}
            at_work[row.changed_by] = row
        elif row.status == "ready":
            assert at_work.pop(row.changed_by).number == row.number
    return overlaps


def died_between(cook: str, before: LogRow, after: LogRow, kills: Kills) -> bool:
    # A killed process may have committed its last statement a moment before it was seen to end.
    return any(name == cook and before.changed_at <= at <= after.changed_at for name, at in kills)


def test_the_process_that_publishes_may_die_at_any_moment(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    """The order service is killed twice in the middle of its intake, and comes back."""
    restaurant = new_restaurant()
    restaurant.start_cooks(["mario", "luigi"])
    answered: set[str] = set()
    for _ in range(2):
        service = restaurant.open()
        answers = [restaurant.client.order(meal(kind)) for kind in KINDS * 3]
        service.kill()
        answered |= {answer.document["order_number"] for answer in answers}

    restaurant.ledger.wait_for("ready", answered, 10)
    assert len(answered) == 18
    assert set(restaurant.ledger.orders()) == answered
    restaurant.ledger.check_all_ready()
