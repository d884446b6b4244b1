"""RabbitMQ 3.10 and 4.0: set-up, orders, priorities, dead letters, a consumer's time-out."""

from __future__ import annotations

import json

import amqp
import kombu
import pytest

from devservices import RabbitMQ
from pizza.app import create_task_app
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.topology import Topology

from ...support.restaurant import Restaurant, eventually, meal
from ...support.restaurant.sample_orders import KINDS
from .conftest import CONSUMER_TIMEOUT_S, VHOST

# The session's RabbitMQ 3.10 has a consumer time-out of 30 minutes and calls nothing deprecated.
ON_4 = pytest.mark.parametrize("version", ["4.0"], indirect=True)
DEAR = [{"name": "Party pizza", "quantity": 9, "price": 90}]


def test_every_queue_is_a_classic_queue(restaurant: Restaurant, broker: RabbitMQ) -> None:
    listed = broker.ctl("list_queues", "-p", VHOST, "--formatter=json", "name", "type")
    types = {
        each["name"]: each["type"].rpartition("_")[0] or each["type"] for each in json.loads(listed)
    }
    assert set(types) == {queue.name for queue in create_task_app().topology.queues}
    assert set(types.values()) <= {"classic", "rabbit_classic"}


def test_orders_are_cooked_and_every_subscriber_is_notified(restaurant: Restaurant) -> None:
    subscriber = restaurant.subscribe()  # with its own transient queue
    restaurant.track()
    restaurant.start_cook("mario")
    numbers = restaurant.place_in_turn(meal(kind) for kind in KINDS)
    restaurant.ledger.wait_for("ready", numbers, 15)
    subscriber.wait_for("notification_received", count=len(numbers))


def test_orders_of_a_higher_priority_are_cooked_first(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("luigi", cooking_time=1)
    first = restaurant.place()
    restaurant.ledger.wait_for("cooking", [first], 10)
    usual, dear = restaurant.place(), restaurant.place(items=DEAR)
    restaurant.ledger.wait_for("ready", [usual, dear], 20)
    assert [row.number for row in restaurant.ledger.cookings()] == [first, dear, usual]
    assert cook.running


def test_an_unreadable_message_becomes_a_dead_letter(restaurant: Restaurant) -> None:
    restaurant.start_cook("toad")
    restaurant.publish("orders_direct", "kitchen.takeout", ["no order"])
    (dead_letter,) = restaurant.dead_letters(1)
    assert dead_letter["died_in"] == "kitchen_takeout_queue"
    number = restaurant.place()
    restaurant.ledger.wait_for("ready", [number], 10)


@ON_4
def test_an_order_that_cooks_longer_than_the_consumer_time_out_is_ready_once(
    restaurant: Restaurant,
) -> None:
    restaurant.start_cook("yoshi", cooking_time=2 * CONSUMER_TIMEOUT_S)
    number = restaurant.place()
    restaurant.ledger.wait_for("ready", [number], 20)
    assert len(restaurant.ledger.cookings()) == 1


@pytest.mark.parametrize("arguments", [{}, {"x-max-priority": 10}])
def test_a_queue_that_was_declared_without_a_type_is_used_and_the_other_way_round(
    broker: RabbitMQ, arguments: dict[str, int]
) -> None:
    """As two releases do, the first of which names no type."""
    queue = kombu.Queue("two releases", durable=True, queue_arguments=arguments)
    link = BrokerConnection(broker.url, name="test")
    former = link.connection.channel()
    for _ in range(2):
        former.queue_declare(queue.name, durable=True, auto_delete=False, arguments=arguments)
        link.declare(Topology(queues=(queue,)))
        former.queue_declare(queue.name, durable=True, auto_delete=False, arguments=arguments)
        former.queue_delete(queue.name)
        link.declare(Topology(queues=(queue,)))
    former.queue_delete(queue.name)
    link.close()


@ON_4
def test_nothing_is_used_that_rabbitmq_4_calls_deprecated(
    restaurant: Restaurant, broker: RabbitMQ
) -> None:
    """The node's log names each use; one is made at the end, to see that it does."""

    def is_named() -> bool:
        logs = (broker.folder / "log").glob("*.log")
        return any("is deprecated" in each.read_text(errors="replace") for each in logs)

    restaurant.subscribe()
    restaurant.start_cook("wario")
    restaurant.ledger.wait_for("ready", [restaurant.place()], 10)
    assert not is_named()
    refusal = pytest.raises(amqp.AMQPError, match="transient_nonexcl_queues` is deprecated")
    with amqp.Connection(broker.address) as link, refusal:
        link.channel().queue_declare("transient", durable=False, auto_delete=False)
    eventually(is_named, 5, "the use is named")
