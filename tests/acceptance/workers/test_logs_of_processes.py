"""What processes say: one JSON object a line, on stdout, with the specified fields and events.

The form of every line of every process is checked at the end of all acceptance tests
(`Program.check_output`); here are the events and the options.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ...support.restaurant import Program, Restaurant, meal
from ...support.restaurant.program import TIMESTAMP


@pytest.fixture(scope="module")
def cook_run(_restaurant: Restaurant) -> tuple[Program, Program, str]:
    """A cook starts, cooks one order and stops. Returns the service, the cook and the number."""
    cook = _restaurant.start_cook("mario", cooking_time=0.1)
    number = _restaurant.place("delivery", customer_name="Jane")
    _restaurant.ledger.wait_for("ready", [number], 5)
    assert cook.stop() == 0
    assert _restaurant.service is not None
    return _restaurant.service, cook, number


def test_the_order_service_logs_its_start_and_every_order(
    cook_run: tuple[Program, Program, str],
) -> None:
    service, _, number = cook_run
    started = service.said("service_started")[0]
    (received,) = service.said("order_received")

    assert started["message"].startswith("Service started on port ")
    assert "worker_name" not in started
    assert received["order_number"] == number
    assert isinstance(received["duration_ms"], int)
    assert received["details"]["customer_name"] == "Jane"
    assert received["details"]["order_type"] == "delivery"


def test_a_cook_logs_its_actions_in_order(cook_run: tuple[Program, Program, str]) -> None:
    _, cook, number = cook_run
    actions = [line["action"] for line in cook.lines if not line["action"].startswith("relay")]

    assert actions == [
        "worker_registered",
        "worker_connected",
        "order_processing",
        "order_completed",
        "worker_disconnected",
    ]
    assert cook.said("worker_connected")[0]["message"] == "Worker connected and ready"
    assert cook.said("order_completed")[0]["order_number"] == number


def test_the_time_of_cooking_is_measured(cook_run: tuple[Program, Program, str]) -> None:
    _, cook, _ = cook_run
    (line,) = cook.said("order_completed")

    assert 120 <= line["duration_ms"] < 10_000
    assert line["details"]["waited_s"] >= 0


def test_times_are_utc_and_never_go_back(cook_run: tuple[Program, Program, str]) -> None:
    for program in cook_run[:2]:
        times = [line["timestamp"] for line in program.lines]
        assert all(TIMESTAMP.fullmatch(time) for time in times)
        assert times == sorted(times)


def test_odd_names_stay_on_one_line(restaurant: Restaurant) -> None:
    name = 'Bobby\\n{"level":"ERROR","message":"forged"}\\tTables\u200f"\u00a0'
    restaurant.start_cook("mario")

    number = restaurant.place(customer_name=name)
    restaurant.ledger.wait_for("ready", [number], 5)

    assert restaurant.service is not None
    lines = restaurant.service.said("order_received")
    (line,) = [each for each in lines if each["order_number"] == number]
    assert line["details"]["customer_name"] == name


def test_a_log_file_gets_all_lines(new_restaurant: Callable[[], Restaurant]) -> None:
    restaurant = new_restaurant()
    cook = restaurant.start_cook_soon("mario", log_file="mario.log")
    restaurant.open()
    restaurant.ledger.wait_for("ready", [restaurant.place()], 10)
    assert cook.stop() == 0

    assert cook.lines == []
    written = cook.stdout_path.with_name("mario.log").read_text("utf-8").splitlines()
    assert [json.loads(line)["action"] for line in written][-1] == "worker_disconnected"


def test_a_folder_of_logs_that_is_moved_away_loses_no_line(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    folder = restaurant.folder / "logs"
    folder.mkdir()
    log_file = folder / "mario.log"
    cook = restaurant.start_cook_soon("mario", log_file=log_file)
    restaurant.open()
    restaurant.ledger.wait_for("ready", [restaurant.place()], 10)

    moved = folder.rename(folder.with_name("moved"))
    number = restaurant.place()
    restaurant.ledger.wait_for("ready", [number], 10)
    cook.expected_stderr = (
        f"restaurant-system: --log-file (LOG_FILE) {log_file} cannot be opened again: No such file "
        "or directory. The log goes on in the file that was open; make the path writable.\n"
    )
    assert cook.stop() == 0

    lines = [json.loads(line) for line in (moved / "mario.log").read_text("utf-8").splitlines()]
    assert number in [line.get("order_number") for line in lines]
    assert lines[-1]["action"] == "worker_disconnected"


@pytest.mark.parametrize("level", ["WARN", "ERROR"])
def test_a_higher_level_logs_less(restaurant: Restaurant, level: str) -> None:
    cook = restaurant.start_cook_soon("mario", log_level=level)

    restaurant.ledger.wait_for("ready", [restaurant.place()], 10)
    assert cook.stop() == 0

    assert cook.lines == []


def test_debug_logs_more_and_is_json_too(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("mario", log_level="DEBUG")

    numbers = restaurant.place_all([meal(), meal("dine-in")])
    restaurant.ledger.wait_for("ready", numbers, 5)
    assert cook.stop() == 0

    assert len(cook.lines) >= 7
