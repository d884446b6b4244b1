"""SIGTERM and SIGSTOP: an order in progress is finished or released, never both."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime

from ...support.restaurant import Program, Restaurant, eventually
from ...support.restaurant.outages import hung
from ...support.waiting import Stopwatch


def test_a_stopped_cook_finishes_its_order(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("mario", cooking_time=1.5, grace=10)
    number, waiting = restaurant.place(), restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)

    assert cook.stop() == 0

    assert restaurant.ledger.orders()[number]["status"] == "ready"
    assert restaurant.ledger.orders()[waiting]["status"] == "received"
    assert [row.changed_by for row in restaurant.ledger.log(number)][1:] == ["mario", "mario"]
    restaurant.start_cook("luigi")
    restaurant.ledger.wait_for("ready", [waiting], 5)


def test_after_its_grace_period_a_cook_releases_its_order_to_another(
    restaurant: Restaurant,
) -> None:
    cook = restaurant.start_cook("mario", cooking_time=60, grace=0.5)
    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)
    restaurant.start_cook("luigi", cooking_time=0)

    watch, asked = Stopwatch(), datetime.now(UTC)
    assert cook.stop() == 0

    restaurant.ledger.wait_for("ready", [number], 5)
    again = restaurant.ledger.log(number)[2]
    assert (again.changed_by, again.notes) == ("luigi", "taken over from mario")
    took = (again.changed_at - asked).total_seconds()
    assert took >= 0.5
    watch.assert_within(3, took)
    assert cook.said("job_released")[0]["level"] == "WARN"
    assert cook.lines[-1]["action"] == "worker_disconnected"


def test_a_second_ctrl_c_ends_a_cook_at_once_and_loses_nothing(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("mario", cooking_time=60)
    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)

    cook.process.send(signal.SIGINT)
    eventually(lambda: not interrupt(cook), 5, "the cook has ended")
    cook.expected_code = 128 + signal.SIGINT

    restaurant.start_cook("luigi")
    restaurant.ledger.wait_for("ready", [number], 5)


def interrupt(cook: Program) -> bool:
    """Ctrl-C; whether it still runs."""
    cook.process.send(signal.SIGINT)
    return cook.running


def test_a_frozen_cook_that_continues_changes_nothing(restaurant: Restaurant) -> None:
    """After its lease and the broker's time-out another cook has taken over."""
    short = {"lease": 2, "heartbeat": 1}
    frozen = restaurant.start_cook("mario", cooking_time=1, **short)
    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)
    frozen.freeze()

    restaurant.start_cook("luigi", cooking_time=0, **short)
    restaurant.ledger.wait_for("ready", [number], 20)
    frozen.thaw()

    # Its sessions have been ended; it is back, and leaves alone what another has done.
    frozen.wait_for("worker_reconnected", 15)
    log = restaurant.ledger.log(number)
    assert [(row.status, row.changed_by) for row in log[1:]] == [
        ("cooking", "mario"),
        ("cooking", "luigi"),
        ("ready", "luigi"),
    ]
    assert frozen.running
    later = [restaurant.place(kind) for kind in ("takeout", "takeout", "delivery", "delivery")]
    restaurant.ledger.wait_for("ready", later, 10)


def test_a_frozen_cook_that_continues_within_its_lease_finishes(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("mario", cooking_time=1)
    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)

    cook.freeze()
    restaurant.start_cook("luigi", cooking_time=0)
    cook.thaw()

    restaurant.ledger.wait_for("ready", [number], 5)
    assert [row.changed_by for row in restaurant.ledger.log(number)][1:] == ["mario", "mario"]


def test_the_order_service_stops_cleanly_and_leaves_nothing_unsent(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    service = restaurant.open()
    numbers = [restaurant.place() for _ in range(5)]

    assert service.stop() == 0

    assert service.lines[-1]["action"] == "service_stopped"
    restaurant.start_cook("mario")
    restaurant.ledger.wait_for("ready", numbers, 5)
    restaurant.ledger.check_all_ready()


def test_all_processes_stop_in_time_while_both_servers_hang_and_lose_nothing(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    """A busy cook, an idle one, a station, tracking, a subscriber; each gets several signals."""
    restaurant = new_restaurant()
    restaurant.open(stations="quality")
    busy = restaurant.start_cook("mario", cooking_time=0.5, grace=1)
    number = restaurant.place()
    staff = [
        busy,
        restaurant.start_cook("luigi", grace=1),
        restaurant.start_cook("quality_1", station="quality", station_time=0, grace=1),
        restaurant.track(),
        restaurant.subscribe(name=f"screen_{restaurant.port}"),
    ]
    more = [restaurant.place() for _ in range(5)]
    with hung(restaurant.servers.postgres), hung(restaurant.servers.rabbitmq):
        for each in staff:
            each.terminate()
            each.process.send(signal.SIGTERM)
        for each in staff:
            assert each.exit_code(20) == 0, each.name
    restaurant.serves_again()
    restaurant.start_cook("toad", cooking_time=0)
    restaurant.start_cook("quality_2", station="quality", station_time=0)
    where = "select stage from orders where number = any(%s) and stage <> 'handover'"
    eventually(lambda: not restaurant.ledger.rows(where, [number, *more]), 30, "all were done")
    for order in (number, *more):
        statuses = [row.status for row in restaurant.ledger.log(order)]
        assert statuses.count("ready") == 1, statuses


def test_a_process_stopped_before_it_reached_its_servers_ends_at_once(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    nowhere = ("--db=postgres://nobody@127.0.0.1:1/none", "--rabbitmq=127.0.0.1:1")
    started = [
        restaurant.start("service", "--mode=order-service", f"--port={restaurant.port}", *nowhere),
        restaurant.start("cook", "--mode=kitchen-worker", "--worker-name=mario", *nowhere),
        restaurant.start("tracking", "--mode=tracking-service", *nowhere),
        restaurant.start("subscriber", "--mode=notification-subscriber", *nowhere, database=False),
    ]
    for each in started:
        eventually(lambda program=each: program.lines, 60, f"{each.name} says something")
        each.terminate()
    for each in started:
        assert each.exit_code() == 0, each.name
