"""Set-up, and the routing of messages."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import kombu
import pytest

from devservices import RabbitMQ
from pizza.processes import setup
from pizza.taskqueue.errors import FrameworkError
from pizza.topology import KITCHEN_QUEUE, TYPED_QUEUES

OTHERS = {"notifications_queue", "tracking_status_queue"}
QUEUES = {KITCHEN_QUEUE, *TYPED_QUEUES.values(), *OTHERS}


def where(broker: kombu.Connection, exchange: str, key: str) -> set[str]:
    """The queues in which a message is found that was published so."""
    with broker.channel() as channel:
        kombu.Producer(channel).publish({}, exchange=exchange, routing_key=key)
        return {queue for queue in QUEUES if channel.basic_get(queue, no_ack=True)}


@pytest.fixture
def broker(broker_url: str) -> Iterator[kombu.Connection]:
    setup.setup_queues(broker_url)
    with kombu.Connection(broker_url, transport_options={"confirm_publish": True}) as connection:
        yield connection


def test_queues_may_be_set_up_by_many_at_once_and_again(broker_url: str) -> None:
    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(setup.setup_queues, [broker_url] * 8))


@pytest.mark.parametrize(
    ("exchange", "key", "queue"),
    [
        ("orders_topic", "kitchen.dine-in.10", "kitchen_dine_in_queue"),
        ("orders_topic", "kitchen.takeout.1", "kitchen_takeout_queue"),
        ("orders_topic", "kitchen.delivery.5", "kitchen_delivery_queue"),
        ("orders_topic", "kitchen.buffet.5", "kitchen_queue"),
        ("orders_topic", "anything", "kitchen_queue"),
        ("orders_direct", "kitchen.order", "kitchen_queue"),
        ("orders_direct", "kitchen.dine-in", "kitchen_dine_in_queue"),
        ("orders_direct", "kitchen.takeout", "kitchen_takeout_queue"),
        ("orders_direct", "kitchen.delivery", "kitchen_delivery_queue"),
        ("orders_direct", "tracking.status", "tracking_status_queue"),
        ("notifications_fanout", "", "notifications_queue"),
    ],
)
def test_every_message_is_in_one_queue(
    broker: kombu.Connection, exchange: str, key: str, queue: str
) -> None:
    assert where(broker, exchange, key) == {queue}


@pytest.mark.parametrize("queue", sorted(QUEUES - OTHERS))
def test_kitchen_queues_are_durable_with_ten_priorities(
    broker: kombu.Connection, queue: str
) -> None:
    """Declared again with the specified properties, the broker would refuse any other."""
    broker.channel().queue_declare(
        queue, durable=True, auto_delete=False, arguments={"x-max-priority": 10}
    )


def test_an_absent_broker_is_one_error_of_the_framework(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(FrameworkError, match="RabbitMQ is not available"):
        setup.setup_queues("amqp://guest:guest@127.0.0.1:9//")


def test_the_database_is_set_up_once(db_url: str) -> None:
    assert setup.setup_db(db_url) == []
    assert setup.migrate_db(db_url) == []
