"""A wrong configuration is logged once, with the remedy, and no process reports ready before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from kombu import Queue

from devservices import Postgres, RabbitMQ
from pizza.database.migrate import migrate

from ...support.taskqueue.sample_app import SCHEMA
from ...support.taskqueue.worker_process import DEAD_LETTERS, Harness, Process
from ...support.waiting import wait_until

WATCHED_S = 10.0
MOST_LINES = 2
MOST_CONNECTIONS = 12  # in that time, of one worker
READY = ("worker_connected", "subscribed", "broker_reconnected", "worker_reconnected")


def watched(*processes: Process) -> list[str]:
    """What each process says in some seconds: one thing, and nothing of being ready."""
    for each in processes:
        wait_until(each.log, 20, f"{each.name} says what is wrong")
    used = [each.cpu_seconds() for each in processes]
    time.sleep(WATCHED_S)
    texts = []
    for each, before in zip(processes, used, strict=True):
        assert each.running and not each.tracebacks()
        assert each.cpu_seconds() - before < 0.15 * WATCHED_S + 0.3
        said = [line for line in each.log() if line["action"] != "leader_elected"]
        assert 1 <= len(said) <= MOST_LINES, said
        assert not [line for line in said if line["action"] in READY]
        texts.append(said[0]["message"])
    return texts


@pytest.fixture
def restricted_url(rabbitmq: RabbitMQ, harness: Harness) -> Iterator[str]:
    """The address of a user with the rights to read and write, but not to configure."""
    rabbitmq.ctl("add_user", harness.prefix, "secret")
    rabbitmq.ctl("set_permissions", "-p", "/", harness.prefix, "", ".*", ".*")
    yield rabbitmq.url.replace("guest:guest", f"{harness.prefix}:secret")
    rabbitmq.ctl("delete_user", harness.prefix)


def declare_otherwise(harness: Harness) -> None:
    """The red queue without the priorities that the sample app declares."""
    with harness.broker() as channel:
        channel.queue_delete(harness.sample.queue("red"))
        Queue(harness.sample.queue("red"), durable=True)(channel).declare()


def test_a_queue_with_other_arguments(harness: Harness) -> None:
    declare_otherwise(harness)
    worker = harness.worker("w", ready=False, no_relay=True)
    subscriber, relay = harness.subscriber(ready=False), harness.relay(ready=False)
    red = harness.sample.queue("red")
    for text in watched(worker, subscriber, relay):
        assert f"queue {red} cannot be declared" in text
        assert "delete the queue, or declare it with x-max-priority being none" in text
    # When the operator has done it, all begin by themselves
    with harness.broker() as channel:
        channel.queue_delete(red)
    relay.await_log("broker_reconnected", 15)
    subscriber.await_log("subscribed", 15)
    harness.await_run(harness.send(), 15)
    assert worker.log("worker_connected")


def test_a_user_who_may_not_configure(harness: Harness, restricted_url: str) -> None:
    red = harness.sample.queue("red")
    with harness.broker() as channel:
        channel.queue_delete(red)
    worker = harness.worker("w", ready=False, no_relay=True, broker=restricted_url)
    (text,) = watched(worker)
    assert f"grant configure on {red}, or declare it beforehand" in text
    # When another user has declared it, nothing else is needed
    with harness.broker() as channel:
        harness.declare(channel)
    worker.await_log("worker_connected", 15)
    harness.relay()
    harness.await_run(harness.send(), 15)


def test_a_user_who_may_not_configure_needs_not_to(harness: Harness, restricted_url: str) -> None:
    with harness.broker() as channel:
        harness.declare(channel)
        Queue(DEAD_LETTERS, durable=True)(channel).declare()
    worker = harness.worker("w", broker=restricted_url)
    harness.await_run(harness.send(), 15)
    assert not worker.log("broker_lost") + worker.tracebacks()


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """A database without tables."""
    yield postgres.create_database("before_setup")
    postgres.drop_database("before_setup")


def test_anything_before_setup(harness: Harness, empty_database: str) -> None:
    options = {"ready": False, "db": empty_database}
    ways: list[dict[str, Any]] = [{}, {"skills": "s"}, {"pool": 1}]
    workers = [
        harness.worker(f"w{n}", no_relay=True, **options, **way) for n, way in enumerate(ways)
    ]
    subscriber, relay = harness.subscriber(exclusive=True, **options), harness.relay(**options)
    for text in watched(*workers, subscriber, relay):
        assert "the database has no tables of this version: run --setup-db" in text
    migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(SCHEMA)
    for worker in workers:
        worker.await_log("worker_connected", 15)
    subscriber.await_log("subscribed", 15)
    relay.await_log("leader_elected", 15)


def test_a_queue_outside_the_topology_is_declared_by_its_worker(
    harness: Harness, rabbitmq: RabbitMQ
) -> None:
    before = connections(rabbitmq)
    harness.worker("w", "red,purple", no_relay=True)
    harness.relay()
    try:
        assert harness.ready(harness.sample.queue("purple")) == 0
        harness.await_run(harness.send(), 15)
        assert connections(rabbitmq) - before <= MOST_CONNECTIONS + 4
    finally:
        with harness.broker() as channel:
            channel.queue_delete(harness.sample.queue("purple"))


def connections(rabbitmq: RabbitMQ) -> int:
    """How many connections the broker has accepted so far."""
    return rabbitmq.log.read_text(errors="replace").count("accepting AMQP connection")
