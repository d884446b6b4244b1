"""The relay declares the queue of a named subscriber again while the subscriber is away."""

from __future__ import annotations

import logging

import amqp
import pytest
from kombu import Queue

from devservices import RabbitMQ
from pizza.database.connection import BoundedConnection, connect
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.outbox import subscriptions
from pizza.taskqueue.task import publish

from ...support.taskqueue.sample_subscriber import SCHEMA
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


def say(harness: Harness, *numbers: int) -> None:
    for n in numbers:
        publish(harness.conn, harness.prefix, "event.x", {"n": n, "mode": "ok"})


def test_events_published_after_the_loss_of_the_disk_are_received(
    harness: Harness, rabbitmq: RabbitMQ
) -> None:
    harness.conn.execute(SCHEMA)
    harness.relay()
    # Given a subscriber that has run once, and is away
    harness.subscriber(kept=True, exclusive=True).kill9()
    say(harness, 0)
    harness.await_states()  # only the broker has it
    # When the broker loses its disk, with events before and after
    rabbitmq.kill9()
    say(harness, 1, 2)
    rabbitmq.wipe()
    say(harness, 3)
    harness.await_states(within=15)
    # Then all of that waits for the subscriber
    harness.subscriber(kept=True, exclusive=True)
    recorded = "select n from heard order by position"
    wait_until(lambda: len(harness.rows(recorded)) == 3, 10, "they are received")
    assert harness.rows(recorded) == [(1,), (2,), (3,)]


def test_a_subscriber_that_is_not_seen_for_a_week_is_forgotten(harness: Harness) -> None:
    harness.conn.execute(SCHEMA)
    subscriber = harness.subscriber(kept=True, exclusive=True)
    harness.conn.execute(
        "insert into durable_subscription select 'gone', 'gone', exchange, routing_key"
        " from durable_subscription"
    )
    harness.conn.execute("update durable_subscription set seen_at = seen_at - interval '8 days'")
    with connect(harness.db_url, name="keeper") as conn:
        subscriptions.prune(conn)
        assert harness.rows("select name from durable_subscription") == [
            (f"{harness.prefix}.kept",)
        ]
        subscriber.kill9()
        wait_until(lambda: left_after_a_week(harness, conn) == [], 5, "its name is free")


def left_after_a_week(harness: Harness, conn: BoundedConnection) -> list[tuple[str]]:
    harness.conn.execute("update durable_subscription set seen_at = seen_at - interval '8 days'")
    subscriptions.prune(conn)
    return harness.rows("select name from durable_subscription")


def test_a_registered_queue_is_declared_until_it_expires(harness: Harness) -> None:
    names = {kind: f"{harness.prefix}.{kind}" for kind in ("kept", "own")}
    exchange = harness.sample.app.topology.exchanges[0]
    with connect(harness.db_url, name="keeper") as conn:
        for name in names.values():
            subscriptions.register(conn, "s", Queue(name, exchange, routing_key="event.#"))
        old = subscriptions.TTL.days + 1
        conn.execute(
            "update durable_subscription set seen_at = seen_at - %s * interval '1 day'"
            " where name = %s",
            [old, names["own"]],
        )
        broker = BrokerConnection(harness.broker_url, name="keeper")
        try:
            subscriptions.declare_all(conn, broker, harness.sample.app.topology)
            assert set(broker.queue_stats(list(names.values()))) == {names["kept"]}
            # To register it again renews it.
            subscriptions.register(conn, "s", Queue(names["own"], exchange, routing_key="event.#"))
            subscriptions.declare_all(conn, broker, harness.sample.app.topology)
            assert set(broker.queue_stats(list(names.values()))) == set(names.values())
            broker.channel.queue_delete(names["own"])
        finally:
            broker.close()


def test_a_queue_with_other_properties_is_left_as_it_is(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{harness.prefix}.kept"
    exchange = harness.sample.app.topology.exchanges[0]
    with harness.broker() as channel:
        channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-max-length": 5})
        channel.basic_publish(amqp.Message(b"x"), "", name)
    with connect(harness.db_url, name="keeper") as conn, caplog.at_level(logging.WARNING):
        subscriptions.register(conn, "s", Queue(name, exchange, routing_key="event.#"))
        broker = BrokerConnection(harness.broker_url, name="keeper")
        try:
            subscriptions.declare_all(conn, broker, harness.sample.app.topology)
            wait_until(lambda: broker.message_count(name) == 1, 5, "its message is still there")
        finally:
            broker.close()
    assert [record.__dict__["action"] for record in caplog.records] == ["queue_differs"]
