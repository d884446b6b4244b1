"""Staff at work over HTTP and by command, with real cooks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...support.restaurant import Restaurant, meal
from ...support.waiting import Stopwatch

Open = Callable[[], Restaurant]


def flask(restaurant: Restaurant, folder: Path, *words: str) -> Any:
    """Run a command of the staff; what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "pizza", *words, "--json"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"DB_URL": restaurant.db_url, "PATH": ""},
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def test_a_cook_drops_a_cancelled_order_and_continues(new_restaurant: Open) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    restaurant.start_cook("mario", cooking_time=30)
    first = restaurant.place()
    restaurant.ledger.wait_for("cooking", [first], 5)

    assert restaurant.client.post(f"/orders/{first}/cancel").status == 409
    reason = {"reason": "The guest has left", "by": "anna"}
    assert restaurant.client.post(f"/orders/{first}/cancel", reason).status == 200
    second = restaurant.place()

    restaurant.ledger.wait_for("cooking", [second], 2)
    # Or the cook would cook it to its end before it goes home.
    assert restaurant.client.post(f"/orders/{second}/cancel", reason).status == 200
    statuses = [(row.status, row.changed_by) for row in restaurant.ledger.log(first)]
    assert statuses == [("received", "order-service"), ("cooking", "mario"), ("cancelled", "anna")]


def test_a_waiting_order_overtakes_when_staff_raises_its_priority(new_restaurant: Open) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    numbers = restaurant.place_in_turn(meal() for _ in range(3))
    answer = restaurant.client.post(
        f"/orders/{numbers[2]}/priority", {"priority": 10, "reason": "Birthday"}
    )
    assert answer.document["priority"] == 10

    restaurant.start_cook("mario", cooking_time=0.05)

    restaurant.ledger.wait_for("ready", numbers, 10)
    begun = [row.number for row in restaurant.ledger.cookings()]
    assert begun == [numbers[2], numbers[0], numbers[1]]


def test_an_order_that_is_sent_back_is_cooked_again_and_handed_over(
    new_restaurant: Open, tmp_path: Path
) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    mario = restaurant.start_cook("mario")
    number = restaurant.place("dine-in")
    restaurant.ledger.wait_for("ready", [number], 5)
    assert mario.stop() == 0  # or it might be cooking again before the answer

    again = restaurant.client.post(f"/orders/{number}/send-back", {"reason": "Burnt"})
    assert again.document["current_status"] == "received"
    restaurant.start_cook("luigi")
    restaurant.ledger.wait_for("ready", [number], 5)
    delivered = flask(restaurant, tmp_path, "orders", "deliver", number, "--by", "anna")

    assert (delivered["status"], delivered["stage"]) == ("delivered", None)
    assert [row.status for row in restaurant.ledger.log(number)] == [
        "received", "cooking", "ready", "received", "cooking", "ready", "delivered",
    ]  # fmt: skip
    places = "select sum(free) = sum(share) as all_free from kitchen_capacity"
    assert restaurant.ledger.rows(places) == [{"all_free": True}]


def test_the_averages_are_those_of_the_log(restaurant: Restaurant, tmp_path: Path) -> None:
    restaurant.start_cook("mario", cooking_time=0.2)
    watch = Stopwatch()
    numbers = restaurant.place_all([meal(kind) for kind in ("dine-in", "takeout") * 5])
    restaurant.ledger.wait_for("ready", numbers, 10)

    worker = restaurant.worker("mario")
    report = restaurant.client.get("/reports/today").document
    waits = restaurant.client.get("/metrics/priority").document

    assert worker["avg_cooking_seconds"] > 0.15
    watch.assert_within(0.4, worker["avg_cooking_seconds"])
    assert worker["avg_cooking_seconds"] <= worker["p90_cooking_seconds"]
    assert worker["last_order_at"] <= worker["last_seen"]
    assert [(row["priority"], row["orders"], row["begun"]) for row in waits] == [(1, 10, 10)]
    day = datetime.now(UTC).date().isoformat()
    if report["day"] == day:
        assert (report["orders"], report["prepared"], report["cancelled"]) == (10, 10, 0)
        assert report == flask(restaurant, tmp_path, "report", "--day", day)
    assert flask(restaurant, tmp_path, "workers", "list")[0]["worker_name"] == "mario"


def test_a_paused_kitchen_refuses_orders_and_continues_to_cook(restaurant: Restaurant) -> None:
    number = restaurant.place()
    restaurant.client.post("/kitchen/pause", {"reason": "The oven is cold"})
    try:
        refused = restaurant.client.order(meal())
        assert (refused.status, refused.is_problem) == (503, True)
        assert "The oven is cold" in refused.document["detail"]
        assert int(refused.headers["retry-after"]) > 0
        restaurant.start_cook("mario")
        restaurant.ledger.wait_for("ready", [number], 5)
    finally:
        assert restaurant.client.post("/kitchen/resume").status == 200
    restaurant.ledger.wait_for("ready", [restaurant.place()], 5)


def test_an_answer_is_spared_and_a_change_is_guarded(restaurant: Restaurant) -> None:
    number = restaurant.place()
    seen = restaurant.client.get(f"/orders/{number}/status").headers["etag"]
    restaurant.start_cook("mario")
    restaurant.ledger.wait_for("ready", [number], 5)
    time.sleep(0.05)

    stale = restaurant.client.post(f"/orders/{number}/cancel", {"reason": "x"}, {"If-Match": seen})

    assert (stale.status, stale.is_problem) == (412, True)
    assert stale.document["version"] == 3
