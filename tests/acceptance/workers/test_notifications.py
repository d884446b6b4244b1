"""Notification subscribers: each gets the events of its filter, a named one also missed ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

import kombu
import pytest

from ...support.restaurant import Program, Restaurant, eventually
from ...support.restaurant.amqp_messages import AmqpClient, notification
from ...support.restaurant.outages import down
from ...support.restaurant.program import PROGRAM

Make = Callable[[], Restaurant]
DAY = [(None, "received"), ("received", "cooking"), ("cooking", "ready")]


@pytest.fixture
def subscriber_name(servers) -> str:  # type: ignore[no-untyped-def]
    """A name whose queue does not outlive the test."""
    yield "front.desk"
    with kombu.Connection(servers.rabbitmq.url) as link:
        link.channel().queue_delete("notifications.front.desk")


def printed(subscriber: Program, number: str | None = None) -> list[tuple[str | None, str]]:
    lines = subscriber.said("notification_received")
    return [
        (line["details"]["old_status"], line["details"]["new_status"])
        for line in lines
        if number in (None, line["order_number"])
    ]


def numbers_printed(*subscribers: Program) -> list[str]:
    lines = [line for each in subscribers for line in each.said("notification_received")]
    return [line["order_number"] for line in lines]


def test_each_subscriber_gets_the_events_of_its_filter(restaurant: Restaurant) -> None:
    all_of_it = [restaurant.subscribe(), restaurant.subscribe()]
    johns = restaurant.subscribe(customer="John Doe")
    kitchen = restaurant.subscribe(notification_types="cooking, ready")
    first = all_of_it[0].lines[0]
    assert first["message"] == "Subscribed to all notifications"
    assert first["service"] == "notification-subscriber" and first["action"] == "subscribed"
    assert johns.lines[0]["message"] == "Subscribed to notifications for customer: John Doe"

    restaurant.start_cook("mario")
    number = restaurant.place(customer_name=" john  DOE ")
    other = restaurant.place(customer_name="Jane")
    restaurant.ledger.wait_for("ready", [number, other], 10)

    for each in all_of_it:
        eventually(lambda each=each: len(printed(each)) == 6, 5, "all are printed")  # type: ignore[misc]
        assert printed(each, number) == printed(each, other) == DAY
    eventually(lambda: printed(johns) == DAY, 5, "John gets those of his orders")
    assert set(numbers_printed(johns)) == {number}
    eventually(lambda: len(printed(kitchen)) == 4, 5, "the kitchen gets its types")
    assert printed(kitchen, number) == DAY[1:]
    line = johns.said("notification_received")[1]
    assert line["message"] == (
        f"Notification for order {number}: status changed from 'received' to 'cooking' by mario"
    )
    assert line["details"]["estimated_completion"]
    assert line["level"] == "INFO"
    for each in (*all_of_it, johns, kitchen):
        assert each.stop(3) == 0


@pytest.mark.parametrize("database", [False, True])
def test_a_named_one_gets_what_it_missed_once_and_in_order(
    restaurant: Restaurant, subscriber_name: str, database: bool
) -> None:
    def await_logged(*numbers: str) -> None:
        """Each change of these orders has its row, which commits after it was shown."""
        if database:
            eventually(lambda: len(logged(*numbers)) >= 3 * len(numbers), 10, "it is in the log")

    def logged(*numbers: str) -> list[dict[str, Any]]:
        return restaurant.ledger.rows(
            """select outcome, attempts from notification_delivery
               where subscriber = %s and order_number = any(%s)""",
            subscriber_name,
            list(numbers),
        )

    restaurant.start_cook("mario")
    first = restaurant.subscribe(name=subscriber_name, database=database)
    before = restaurant.place()
    eventually(lambda: printed(first, before) == DAY, 10, "the first one is printed")
    assert first.stop() == 0

    away = [restaurant.place() for _ in range(5)]
    restaurant.ledger.wait_for("ready", away, 10)
    second = restaurant.subscribe(name=subscriber_name, database=database)
    eventually(lambda: len(printed(second)) == 15, 10, "it has caught up")
    assert all(printed(second, number) == DAY for number in away)
    await_logged(*away)
    second.kill()
    later = [restaurant.place() for _ in range(5)]
    restaurant.ledger.wait_for("ready", later, 10)
    third = restaurant.subscribe(name=subscriber_name, database=database)
    eventually(lambda: all(printed(third, number) == DAY for number in later), 10, "again")

    if database:
        await_logged(before, *away, *later)
        rows = logged(before, *away, *later)
        assert len(rows) == 33
        assert {(row["outcome"], row["attempts"]) for row in rows} == {("delivered", 1)}
        everything = numbers_printed(first, second, third)
        assert all(everything.count(number) == 3 for number in (before, *away, *later))


@pytest.mark.parametrize("database", [False, True])
def test_the_second_of_a_name_is_refused(
    restaurant: Restaurant, subscriber_name: str, database: bool
) -> None:
    first = restaurant.subscribe(name=subscriber_name, database=database)
    restaurant.subscribe(name=subscriber_name, database=database, ready=False).refused(
        f"A subscriber named '{subscriber_name}' is already at work; choose another name."
    )
    assert first.running
    first.kill()
    restaurant.subscribe(name=subscriber_name, database=database)


def test_an_unreadable_notification_is_dead_with_its_reason(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    subscriber = restaurant.subscribe()
    post = AmqpClient(restaurant.servers.rabbitmq.url)
    same = notification("ORD_20241216_001", 2)
    post.notify(b"{", {"new_status": "ready"}, same, same)
    # In any order: the leader reads the queue as well, and puts back what it has read.
    dead = [headers for _, headers in (post.dead_letter(), post.dead_letter())]
    assert all(headers["died_in"].startswith("notifications.") for headers in dead)
    reasons = " ".join(headers["reason"] for headers in dead)
    assert "the body is not JSON" in reasons
    assert "order_number is not a text" in reasons
    subscriber.wait_for("event_skipped")
    assert len(printed(subscriber)) == 1
    post.close()


def test_a_broker_that_goes_and_comes_back(new_restaurant: Make, subscriber_name: str) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    listeners = [restaurant.subscribe(), restaurant.subscribe(name=subscriber_name)]
    with down(restaurant.servers.rabbitmq):
        for each in listeners:
            each.wait_for("broker_lost")
    for each in listeners:
        each.wait_for("broker_reconnected", 15)
        assert [line["level"] for line in each.said("broker_lost")] == ["WARN"]
    number = restaurant.place()
    for each in listeners:
        eventually(lambda each=each: len(printed(each, number)) == 1, 10, "it is printed")  # type: ignore[misc]


def test_on_a_terminal_notifications_are_text(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    ours, theirs = os.openpty()
    environment = {**os.environ, "RABBITMQ": restaurant.servers.rabbitmq.address, "TERM": "xterm"}
    environment.pop("DB_URL", None)
    process = subprocess.Popen(
        [PROGRAM, "--mode=notification-subscriber"], stdout=theirs, env=environment
    )
    os.close(theirs)
    said = b""
    try:
        while b"Subscribed to all" not in said:
            said += os.read(ours, 4096)
        post = AmqpClient(restaurant.servers.rabbitmq.url)
        post.notify(notification("ORD_20241216_001", 2, customer_name="J\x1b[2Jane"))
        while b"by somebody" not in said:
            said += os.read(ours, 4096)
        post.close()
        process.terminate()
        assert process.wait(5) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
    assert b"ORD_20241216_001" in said and "→".encode() in said
    assert b"\x1b[2J" not in said
