"""RabbitMQ crashed, hung, wiped, or a queue deleted: orders are accepted, and cooked in the end."""

from __future__ import annotations

import time
from statistics import median

import kombu

from ...support.restaurant import Restaurant, eventually, meal
from ...support.restaurant.outages import down, hung
from ...support.restaurant.sample_orders import KINDS
from ...support.waiting import Stopwatch

ORDERS = 30


def pace(restaurant: Restaurant) -> float:
    """The median time of 30 orders, placed one after the other, until their 201."""
    answers = [restaurant.client.order(meal(kind)) for kind in KINDS * (ORDERS // len(KINDS))]
    assert {answer.status for answer in answers} == {201}, answers
    return median(answer.seconds for answer in answers)


def all_ready(restaurant: Restaurant) -> bool:
    return restaurant.ledger.count("ready") == len(restaurant.ledger.orders())


def test_orders_are_accepted_as_fast_without_a_broker_and_cooked_once_it_is_back(
    restaurant: Restaurant,
) -> None:
    """As fast: three times the median before, and 20 ms, since all processes share two cores."""
    cook = restaurant.start_cook("mario")
    watch = Stopwatch()
    before = pace(restaurant)
    eventually(lambda: all_ready(restaurant), 10, "all is cooked before")

    with down(restaurant.servers.rabbitmq):
        without = pace(restaurant)
        assert restaurant.ledger.count("received") == ORDERS
    eventually(lambda: all_ready(restaurant), 15, "all is cooked after the crash")

    with hung(restaurant.servers.rabbitmq):
        frozen = pace(restaurant)
    eventually(lambda: all_ready(restaurant), 30, "all is cooked after the hang")

    watch.assert_within(3 * before + 0.02, without)
    watch.assert_within(3 * before + 0.02, frozen)
    assert cook.running
    assert restaurant.service is not None and restaurant.service.running
    warned = [line for line in cook.lines if line["level"] == "WARN"]
    assert any(line["action"] == "broker_lost" for line in warned)


def test_an_order_that_is_cooking_while_the_broker_crashes_is_ready_once(
    restaurant: Restaurant,
) -> None:
    """The cook cannot acknowledge it; the second delivery has no effect."""
    restaurant.start_cook("mario", cooking_time=2)
    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)

    with down(restaurant.servers.rabbitmq):
        restaurant.ledger.wait_for("ready", [number], 5)
    after = restaurant.place("dine-in")
    restaurant.ledger.wait_for("ready", [after], 20)

    assert [row.number for row in restaurant.ledger.cookings()] == [number, after]


def test_a_broker_that_lost_its_disk_is_filled_again(restaurant: Restaurant) -> None:
    """Exchanges, queues and messages are gone while orders wait in every queue and one cooks."""
    restaurant.start_cook("mario", cooking_time=1.5)
    first = restaurant.place()
    restaurant.ledger.wait_for("cooking", [first], 5)
    waiting = restaurant.place_all([meal(kind) for kind in KINDS * 2])

    restaurant.servers.rabbitmq.wipe()
    restaurant.start_cook("helper")

    restaurant.ledger.wait_for("ready", [first, *waiting], 30)
    assert len(restaurant.ledger.cookings()) == 1 + len(waiting)


def test_a_queue_that_a_person_deletes_is_declared_and_filled_again(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("mario", cooking_time=60, grace=0)
    first = restaurant.place("dine-in")
    restaurant.ledger.wait_for("cooking", [first], 5)
    waiting = restaurant.place_all([meal("delivery") for _ in range(5)])

    with kombu.Connection(restaurant.servers.rabbitmq.url) as link:
        link.channel().queue_delete("kitchen_delivery_queue")
    helper = restaurant.start_cook("helper")
    restaurant.ledger.wait_for("ready", waiting, 20)

    deleted_under_it = restaurant.place("delivery")
    restaurant.ledger.wait_for("ready", [deleted_under_it], 5)
    with kombu.Connection(restaurant.servers.rabbitmq.url) as link:
        link.channel().queue_delete("kitchen_takeout_queue")
    last = restaurant.place("takeout")
    restaurant.ledger.wait_for("ready", [last], 20)
    cook.terminate()
    restaurant.ledger.wait_for("ready", [first], 5)
    assert helper.running


def test_a_short_hang_of_the_broker_does_not_slow_orders(
    restaurant: Restaurant,
) -> None:
    restaurant.start_cook("mario", cooking_time=0.5)
    numbers = restaurant.place_in_turn(meal(kind) for kind in KINDS)

    with hung(restaurant.servers.rabbitmq):
        time.sleep(1)  # the length of the hang

    restaurant.ledger.wait_for("ready", numbers, 15)
    assert len(restaurant.ledger.cookings()) == len(numbers)
