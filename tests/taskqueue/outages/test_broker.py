"""The broker connection: heartbeats, and what RabbitMQ refuses."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator
from uuid import uuid4

import amqp
import pytest
from kombu import Exchange, Queue, binding

from devservices import RabbitMQ
from pizza.taskqueue.broker import publisher
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.broker.publisher import Publisher
from pizza.taskqueue.errors import BrokerUnavailable, QueueMissing, TopologyRefused
from pizza.taskqueue.topology import Topology

from ...support.waiting import wait_until

HEARTBEAT_S = 2


@pytest.fixture
def name() -> str:
    return f"t{uuid4().hex[:10]}"


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Iterator[BrokerConnection]:
    broker = BrokerConnection(rabbitmq.url, name="test", heartbeat=HEARTBEAT_S)
    yield broker
    broker.close()


@pytest.fixture
def restricted_url(rabbitmq: RabbitMQ, name: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a user with the rights to read and write, or those of its parameter.

    Use it before `broker`, whose connection needs heartbeats: rabbitmqctl takes seconds.
    """
    rights = getattr(request, "param", ("", ".*", ".*"))
    rabbitmq.ctl("add_user", name, "secret")
    rabbitmq.ctl("set_permissions", "-p", "/", name, *rights)
    yield rabbitmq.url.replace("guest:guest", f"{name}:secret")
    rabbitmq.ctl("delete_user", name)


def durable(name: str, *bindings: binding, **arguments: int) -> Topology:
    queue = Queue(name, durable=True, bindings=bindings, queue_arguments=arguments or None)
    return Topology(queues=(queue,))


@pytest.fixture
def queue(broker: BrokerConnection, name: str) -> Iterator[str]:
    """A durable queue without arguments."""
    broker.declare(durable(name))
    yield name
    with broker.connection.channel() as channel:
        channel.queue_delete(name)


# -- signs of life ---------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["message_count", "get", "declare"])
def test_answers_alone_show_that_the_broker_is_there(
    broker: BrokerConnection, queue: str, question: str
) -> None:
    ask = {
        "message_count": lambda: broker.message_count(queue),
        "get": lambda: broker.get(queue),
        "declare": lambda: broker.declare(durable(queue)),
    }[question]
    until = time.monotonic() + 3 * HEARTBEAT_S
    while time.monotonic() < until:
        ask()
        broker.wait(0)
        time.sleep(0.02)  # more often than RabbitMQ sends heartbeats
    assert broker.lost is None


def test_a_hung_broker_is_called_silent(rabbitmq: RabbitMQ, broker: BrokerConnection) -> None:
    rabbitmq.pause()
    try:
        with pytest.raises(BrokerUnavailable, match=f"silent for {2 * HEARTBEAT_S} seconds") as end:
            wait_until(lambda: broker.wait(0.1), 10, "the silence is noticed")
    finally:
        rabbitmq.resume()
    assert broker.lost is end.value


def test_a_connection_that_the_broker_has_closed_is_not_opened_again(
    rabbitmq: RabbitMQ, broker: BrokerConnection
) -> None:
    rabbitmq.ctl("close_all_connections", "over")
    reasons = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # py-amqp warns when it connects by itself
        for _ in range(2):
            with pytest.raises(BrokerUnavailable) as end:
                wait_until(lambda: broker.wait(0.1), 10, "the end is noticed")
            reasons.append(str(end.value))
        broker.close()
    # A reset discards what was not read yet: on a busy machine the broker's words may be lost.
    assert re.search("over|reset", reasons[0])


# -- refusals --------------------------------------------------------------------------------


def test_a_queue_with_other_arguments_is_named_with_the_remedy(
    broker: BrokerConnection, queue: str
) -> None:
    wanted = durable(queue, **{"x-max-priority": 10}) + durable(f"{queue}.next")
    with pytest.raises(TopologyRefused) as refusal:
        broker.declare(wanted)
    assert str(refusal.value) == (
        f"RabbitMQ refuses the topology: queue {queue} cannot be declared (inequivalent arg "
        f"'x-max-priority' for queue '{queue}' in vhost '/': received the value '10' of type "
        "'signedint' but current is none): delete the queue, or declare it with x-max-priority "
        "being none"
    )
    # Everything else is declared, and the connection still works
    assert broker.message_count(f"{queue}.next") == 0
    broker.channel.queue_delete(f"{queue}.next")


def test_an_exchange_of_another_type_is_named(broker: BrokerConnection, name: str) -> None:
    broker.declare(Topology((Exchange(name, "direct", durable=True),)))
    with pytest.raises(TopologyRefused, match=f"exchange {name} .*received 'topic'.* type being "):
        broker.declare(Topology((Exchange(name, "topic", durable=True),)))
    broker.channel.exchange_delete(name)


def test_a_user_without_configure_rights_works_with_existing_queues(
    restricted_url: str, broker: BrokerConnection, queue: str
) -> None:
    exchange = Exchange(f"{queue}.x", "topic", durable=True)
    topology = Topology((exchange,)) + durable(queue, binding(exchange, routing_key="#"))
    broker.declare(topology)
    theirs = BrokerConnection(restricted_url, name="guest")
    theirs.declare(topology)
    with pytest.raises(TopologyRefused) as refusal:
        theirs.declare(durable(f"{queue}.none") + Topology((Exchange(f"{queue}.nowhere"),)))
    for what in (f"{queue}.none", f"{queue}.nowhere"):
        assert f"grant configure on {what}, or declare it beforehand" in str(refusal.value)
    assert theirs.message_count(queue) == 0
    theirs.close()
    broker.channel.exchange_delete(exchange.name)


@pytest.mark.parametrize("restricted_url", [("", ".*", "")], indirect=True)
def test_a_binding_that_is_refused_is_named(
    restricted_url: str, broker: BrokerConnection, queue: str
) -> None:
    exchange = Exchange(f"{queue}.x", "topic", durable=True)
    bound = durable(queue, binding(exchange, routing_key="k"))
    broker.declare(bound)
    theirs = BrokerConnection(restricted_url, name="guest")
    with pytest.raises(TopologyRefused, match=f"grant write on {queue} and read on {queue}.x"):
        theirs.declare(bound)
    theirs.close()
    broker.channel.exchange_delete(exchange.name)
    with pytest.raises(TopologyRefused, match=f"no exchange '{queue}.y'.*declare exchange"):
        nowhere = Exchange(f"{queue}.y", no_declare=True)
        broker.declare(durable(queue, binding(nowhere, routing_key="k")))


@pytest.mark.parametrize("way", ["get", "subscribe", "consume"])
def test_a_queue_that_does_not_exist_is_named(
    broker: BrokerConnection, name: str, way: str
) -> None:
    with pytest.raises(QueueMissing, match=f"has no queue '{name}'") as missing:
        if way == "get":
            broker.get(name)
        elif way == "subscribe":
            broker.subscribe(name, print)
        else:
            broker.consume([name], print)
            wait_until(lambda: broker.wait(0.1), 5, "the answer is there")
    assert missing.value.queue == name


def test_a_queue_that_is_deleted_while_it_is_consumed_is_named(
    rabbitmq: RabbitMQ, broker: BrokerConnection, name: str
) -> None:
    broker.declare(durable(name))
    broker.subscribe(name, print)
    other = BrokerConnection(rabbitmq.url, name="other")
    other.channel.queue_delete(name)
    other.close()
    with pytest.raises(QueueMissing, match=f"'{name}'.*gone"):
        wait_until(lambda: broker.wait(0.1), 5, "the end is noticed")


def test_a_login_and_a_virtual_host_that_are_refused_are_named(
    rabbitmq: RabbitMQ, restricted_url: str
) -> None:
    user = restricted_url.partition("//")[2].partition(":")[0]
    rabbitmq.ctl("clear_permissions", "-p", "/", user)
    for url, sentence in {
        rabbitmq.url.replace("guest:guest", "guest:wrong"): "refuses the login of user 'guest'",
        rabbitmq.url[:-1] + "nowhere": "has no virtual host 'nowhere'",
        restricted_url: f"user '{user}' may not use RabbitMQ's virtual host '/'",
    }.items():
        with pytest.raises(BrokerUnavailable, match=sentence) as refusal:
            BrokerConnection(url, name="test")
        assert "secret" not in str(refusal.value) and "wrong" not in str(refusal.value)


# -- questions -------------------------------------------------------------------------------


def test_checks_of_missing_queues_use_up_no_channels(broker: BrokerConnection, name: str) -> None:
    before = set(broker.connection.channels)  # RabbitMQ allows 2,047 on a connection
    assert broker.message_count(name) is None
    assert not broker.exchange_exists(name)
    assert not broker.queue_stats([name] * 5)
    assert set(broker.connection.channels) == before


def test_which_exchanges_exist(broker: BrokerConnection, name: str) -> None:
    assert [broker.exchange_exists(each) for each in ("", "amq.topic", name)] == [True, True, False]
    for kind in ("fanout", "headers"):
        broker.declare(Topology((Exchange(name, kind, durable=True),)))
        assert broker.exchange_exists(name)
        broker.channel.exchange_delete(name)


def test_several_messages_go_back_to_their_places(broker: BrokerConnection, queue: str) -> None:
    for n in range(4):
        broker.channel.basic_publish(amqp.Message(b"%d" % n), "", queue)
    wait_until(lambda: broker.message_count(queue) == 4, 5, "all are there")
    tags = [message.delivery_tag for _ in range(4) if (message := broker.get(queue))]
    broker.requeue_many(tags[1:])
    broker.ack(tags[0])
    wait_until(lambda: broker.message_count(queue) == 3, 5, "three are back")
    found = [message.body for _ in range(3) if (message := broker.get(queue))]
    assert found == [b"1", b"2", b"3"]
    broker.requeue_many([])


def test_only_a_publisher_that_can_be_ended_waits_for_a_blocked_broker(
    monkeypatch: pytest.MonkeyPatch, broker: BrokerConnection, queue: str
) -> None:
    class Ended(Exception):
        pass

    ticks: list[float] = []

    def end_late() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 3:
            raise Ended

    # Given a broker that has announced that it is blocked, and no confirm
    monkeypatch.setattr(publisher, "CONFIRM_TIMEOUT_S", 1.5)
    broker.blocked = True
    monkeypatch.setattr(Publisher, "_on_ack", lambda *_: None)
    batch = [("", queue, amqp.Message("x", message_id="1"))]
    # Then a connection without an owner gives up, and the other one continues
    with pytest.raises(BrokerUnavailable, match="did not confirm"):
        Publisher(broker).publish(batch)
    with broker.connection.channel() as channel:
        monkeypatch.setattr(broker, "channel", channel)
        with pytest.raises(Ended):
            Publisher(broker, end_late).publish(batch)
