"""One trace for one order: from the customer's request through every process on its way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from ...support.restaurant import Restaurant, eventually, meal

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
ID = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{ID}-00f067aa0ba902b7-01"


def grep_of_the_handbook(logs: str) -> str:
    """The command that docs/operations.md gives, for other log files."""
    (line,) = [
        line for line in OPERATIONS.read_text().splitlines() if 'grep -h \'"trace_id"' in line
    ]
    assert ID in line
    return line.strip().replace("/var/log/pizza/*.log", logs)


def test_one_grep_shows_what_all_processes_did_for_one_request(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    restaurant.open(stations="quality")
    tracker = restaurant.track()
    subscriber = restaurant.subscribe(customer="Jane")
    restaurant.start_cook("mario")
    anna = restaurant.start_cook("anna", station="quality", station_time=0)

    other = restaurant.place(customer_name="Jo")
    answer = restaurant.client.post("/orders", meal(customer_name="Jane"), {"traceparent": GIVEN})
    number = answer.document["order_number"]
    restaurant.ledger.wait_for("ready", [number, other], 20)
    eventually(
        lambda: [x for x in tracker.said("status_changed") if x["order_number"] == number][2:],
        20,
        "tracking has received all changes",
    )
    eventually(lambda: len(subscriber.said("notification_received")) >= 3, 20, "and so has Jane")

    eventually(
        lambda: [line for line in anna.lines if line.get("trace_id") == ID],
        20,
        "Anna has looked at it",
    )

    assert restaurant.service is not None
    command = grep_of_the_handbook(f"{restaurant.service.stdout_path.parent}/*.stdout")
    shown = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in shown.stdout.splitlines()]

    assert {line.get("worker_name") or line["service"] for line in lines} == {
        "order-service", "mario", "anna", "tracking-service", "notification-subscriber",
    }  # fmt: skip
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    assert {line["order_number"] for line in lines if "order_number" in line} == {number}
    (received,) = [
        line for line in restaurant.service.said("order_received") if line["order_number"] == other
    ]
    assert len(received["trace_id"]) == 32
    assert received["trace_id"] != ID
