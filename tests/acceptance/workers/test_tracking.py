"""The tracking service: every change once, gaps, stuck orders, dead workers, status requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from ...support.restaurant import Program, Restaurant, eventually, meal
from ...support.restaurant.amqp_messages import AmqpClient, notification
from ...support.restaurant.outages import down
from ...support.restaurant.program import Line
from ...support.waiting import Stopwatch

Make = Callable[[], Restaurant]


@pytest.fixture
def amqp(new_restaurant: Make, servers) -> Iterator[AmqpClient]:  # type: ignore[no-untyped-def]
    found = AmqpClient(servers.rabbitmq.url)
    yield found
    found.close()


def tracked(restaurant: Restaurant) -> list[tuple[str, int]]:
    """The changes that were tracked; an estimate that moved in a slow kitchen has no sequence."""
    rows = restaurant.ledger.rows(
        """select order_number, sequence from tracking_event
           where sequence is not null order by 1, 2"""
    )
    return [(row["order_number"], row["sequence"]) for row in rows]


def told(tracker: Program) -> list[Line]:
    """The lines about changes, without those about estimates."""
    return [x for x in tracker.said("status_changed") if x["details"]["sequence"] is not None]


def changes(tracker: Program, number: str) -> list[tuple[str | None, str]]:
    lines = [x["details"] for x in told(tracker) if x["order_number"] == number]
    return [(details["old_status"], details["new_status"]) for details in lines]


def test_tracking_logs_each_change_of_an_order(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    tracker = restaurant.track()
    assert tracker.lines[0]["message"] == "Tracking service started"
    assert tracker.lines[0]["service"] == "tracking-service"
    assert tracker.lines[0]["action"] == "service_started"

    restaurant.start_cook("mario")
    numbers = restaurant.place_all([meal() for _ in range(10)])
    restaurant.ledger.wait_for("ready", numbers, 10)

    eventually(lambda: len(tracked(restaurant)) == 30, 10, "all changes are tracked")
    # A line is written after the commit.
    eventually(lambda: len(told(tracker)) == 30, 5, "all changes are logged")
    for number in numbers:
        expected = [(None, "received"), ("received", "cooking"), ("cooking", "ready")]
        assert changes(tracker, number) == expected
    assert not tracker.said("event_gap")
    assert tracker.stop() == 0
    restaurant.ledger.check_all_ready()


def test_killed_at_any_moment_it_misses_and_doubles_nothing(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    restaurant.start_cooks(["mario", "luigi"])
    tracker = restaurant.track()
    numbers = []
    for _ in range(3):
        numbers += restaurant.place_all([meal() for _ in range(15)])
        tracker.kill()
        tracker = restaurant.track(ready=False)
    numbers += restaurant.place_all([meal() for _ in range(15)])
    restaurant.ledger.wait_for("ready", numbers, 20)

    every = sorted((number, sequence) for number in numbers for sequence in (1, 2, 3))
    eventually(lambda: tracked(restaurant) == every, 15, "each change is tracked once")
    assert restaurant.ledger.rows("select * from tracking_gap where filled_at is null") == []


def test_gaps_and_late_events(new_restaurant: Make, amqp: AmqpClient) -> None:
    restaurant = new_restaurant()
    tracker = restaurant.track()
    number = "ORD_20241216_001"
    first, second, third = (notification(number, n) for n in (1, 2, 3))

    amqp.notify(first, third, first)
    gap = tracker.wait_for("event_gap")
    assert (gap["level"], gap["order_number"]) == ("WARN", number)
    assert gap["details"] == {"first": 2, "last": 2}
    tracker.wait_for("event_skipped")
    amqp.notify(second)
    late = tracker.wait_for("event_late")
    assert late["details"] == {"sequence": 2, "newest": 3, "filled": True}
    (row,) = restaurant.ledger.rows("select * from tracking_gap")
    assert row["filled_at"] is not None

    amqp.notify(b"{", {"order_number": 7})
    for _ in range(2):
        tracker.wait_for("event_dead")
        _, headers = amqp.dead_letter()
        assert headers["died_in"] == "notifications_queue" and headers["reason"]
    assert tracked(restaurant) == [(number, 1), (number, 2), (number, 3)]


def test_a_stuck_order_and_its_end(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    tracker = restaurant.track(stuck_factor=1)
    number = restaurant.place()
    eventually(lambda: tracked(restaurant) == [(number, 1)], 5, "it is tracked")
    restaurant.ledger.rows(
        """update tracking_order set since = now() - interval '20 s',
               promised = now() - interval '10 s' returning 1 as n"""
    )
    stuck = tracker.wait_for("order_stuck", 10)
    assert (stuck["level"], stuck["order_number"]) == ("WARN", number)
    assert stuck["details"]["status"] == "received"
    restaurant.start_cook("mario")
    unstuck = tracker.wait_for("order_recovered", 10)
    assert unstuck["details"]["was"] == "received"
    time.sleep(0.6)  # three more looks
    assert len(tracker.said("order_stuck")) == 1


def test_a_dead_worker_and_its_return(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    tracker = restaurant.track()
    cook = restaurant.start_cook("mario")
    cook.kill()
    gone = tracker.wait_for("worker_offline", 5)
    assert gone["details"] == {"worker_name": "mario"} and gone["level"] == "WARN"
    again = restaurant.start_cook("mario")
    assert tracker.wait_for("worker_online", 5)["details"] == {"worker_name": "mario"}
    assert again.stop() == 0
    time.sleep(0.6)  # three more checks: a worker that has unregistered is not dead
    assert len(tracker.said("worker_offline")) == 1


def test_status_requests_good_refused_repeated_and_bad(
    new_restaurant: Make, amqp: AmqpClient
) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    tracker = restaurant.track()
    number = restaurant.place()
    request = {"order_number": number, "new_status": "cancelled", "changed_by": "desk"}
    id = str(uuid4())

    done = amqp.ask(request, id)
    assert done == {"order_number": number, "status": "cancelled", "ok": True}
    assert (
        restaurant.client.get(f"/orders/{number}/status").document["current_status"] == "cancelled"
    )
    assert amqp.ask(request, id) == done, "the same request has the same answer"
    assert [row.status for row in restaurant.ledger.log(number)] == ["received", "cancelled"]

    refused = amqp.ask(request)
    assert refused is not None and refused["ok"] is False
    assert "cannot become cancelled" in refused["error"]
    unknown = amqp.ask({**request, "order_number": "ORD_20241216_999"})
    assert unknown == {"ok": False, "error": "There is no order ORD_20241216_999."}

    bad = amqp.ask({**request, "new_status": "eaten"})
    assert bad is not None and "new_status is not one of" in bad["error"]
    amqp.tell(b"\xff")
    # In any order: the leader reads the queue as well, and puts back what it has read.
    dead = [headers for _, headers in (amqp.dead_letter(), amqp.dead_letter())]
    assert [headers["died_in"] for headers in dead] == ["tracking_status_queue"] * 2
    reasons = " ".join(headers["reason"] for headers in dead)
    assert "new_status is not one of" in reasons
    assert "the body is not JSON" in reasons
    # The change itself is published as any other
    eventually(
        lambda: changes(tracker, number)[-1:] == [("received", "cancelled")], 5, "it is logged"
    )
    assert len(tracker.said("status_request_completed")) == 1


def test_a_second_tracking_service_stands_by_until_the_first_is_gone(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    first = restaurant.track()
    second = restaurant.track(ready=False)
    second.wait_for("standing_by")
    restaurant.place()
    eventually(lambda: len(tracked(restaurant)) == 1, 5, "the first tracks")
    assert not second.said("service_started")
    first.kill()
    second.wait_for("service_started", 15)
    restaurant.place()
    eventually(lambda: len(tracked(restaurant)) == 2, 5, "the second tracks")
    assert not second.said("event_gap")


def test_a_standby_stops_without_an_error(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    restaurant.track()
    second = restaurant.track(ready=False)
    eventually(lambda: len(second.said("standing_by")) == 2, 15, "it stands by")
    assert second.stop() == 0
    assert [line["action"] for line in second.lines if line["level"] == "ERROR"] == []


def test_servers_that_go_and_come_back(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    restaurant.start_cook("mario")
    tracker = restaurant.track()
    numbers = [restaurant.place()]
    with down(restaurant.servers.rabbitmq):
        tracker.wait_for("broker_lost")
        numbers.append(restaurant.place())
    tracker.wait_for("broker_reconnected", 15)
    restaurant.ledger.wait_for("ready", numbers, 20)
    with down(restaurant.servers.postgres):
        tracker.wait_for("database_lost")
    restaurant.serves_again()
    numbers.append(restaurant.place())
    restaurant.ledger.wait_for("ready", numbers, 20)
    every = sorted((number, sequence) for number in numbers for sequence in (1, 2, 3))
    eventually(lambda: tracked(restaurant) == every, 15, "each change is tracked once")
    asked = Stopwatch()
    assert tracker.stop() == 0
    asked.assert_within(3)
