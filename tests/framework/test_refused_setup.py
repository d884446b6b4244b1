"""What an operator has to mend is said once, with the remedy; nobody claims to be ready before."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from kombu import Queue

from devservices import Postgres, RabbitMQ
from pizza.database.migrate import migrate

from ..pace import wait_until
from .stage import DEAD_LETTERS, Process, Stage
from .toy import SCHEMA

WATCHED_S = 10.0
MOST_LINES = 2
MOST_CONNECTIONS = 12  # in that time, of one worker
READY = ("worker_connected", "subscribed", "broker_reconnected", "worker_reconnected")


def watched(process: Process) -> list[str]:
    """What a process says in some seconds: little, and nothing of being ready."""
    wait_until(process.log, 20, "it says what is wrong")
    used = process.cpu_seconds()
    time.sleep(WATCHED_S)
    assert process.running and not process.tracebacks()
    assert process.cpu_seconds() - used < 0.15 * WATCHED_S + 0.3
    said = [line for line in process.log() if line["action"] != "relay_leading"]
    assert 1 <= len(said) <= MOST_LINES, said
    assert not [line for line in said if line["action"] in READY]
    return [line["message"] for line in said]


@pytest.fixture
def guest(rabbitmq: RabbitMQ, stage: Stage) -> Iterator[str]:
    """The address of a user who may read and write, and configure nothing."""
    rabbitmq.ctl("add_user", stage.prefix, "secret")
    rabbitmq.ctl("set_permissions", "-p", "/", stage.prefix, "", ".*", ".*")
    yield rabbitmq.url.replace("guest:guest", f"{stage.prefix}:secret")
    rabbitmq.ctl("delete_user", stage.prefix)


def declare_otherwise(stage: Stage) -> None:
    """The red queue without the priorities that the toy declares."""
    with stage.broker() as channel:
        channel.queue_delete(stage.toy.queue("red"))
        Queue(stage.toy.queue("red"), durable=True)(channel).declare()


@pytest.mark.parametrize("role", ["worker", "subscriber", "relay"])
def test_a_queue_with_other_arguments(stage: Stage, role: str) -> None:
    declare_otherwise(stage)
    process = getattr(stage, role)(ready=False, **({"name": "w", "no_relay": True}
                                                   if role == "worker" else {}))  # fmt: skip
    (text,) = watched(process)
    red = stage.toy.queue("red")
    assert f"queue {red} cannot be declared" in text
    assert "delete the queue, or declare it with x-max-priority being none" in text
    # When the operator has done it, it begins by itself
    with stage.broker() as channel:
        channel.queue_delete(red)
    job = stage.send()
    process.await_log("broker_reconnected" if role == "relay" else
                      "worker_connected" if role == "worker" else "subscribed", 15)  # fmt: skip
    if role == "relay":
        stage.await_states(sent=1)
    elif role == "worker":
        stage.relay()
        stage.await_run(job, 15)


def test_a_user_who_may_not_configure(stage: Stage, guest: str) -> None:
    red = stage.toy.queue("red")
    with stage.broker() as channel:
        channel.queue_delete(red)
    worker = stage.worker("w", ready=False, no_relay=True, broker=guest)
    (text,) = watched(worker)
    assert f"grant configure on {red}, or declare it beforehand" in text
    # When somebody else has declared it, that is all it needs
    with stage.broker() as channel:
        stage.declare(channel)
    worker.await_log("worker_connected", 15)
    stage.relay()
    stage.await_run(stage.send(), 15)


def test_a_user_who_may_not_configure_needs_not_to(stage: Stage, guest: str) -> None:
    with stage.broker() as channel:
        stage.declare(channel)
        Queue(DEAD_LETTERS, durable=True)(channel).declare()
    worker = stage.worker("w", broker=guest)
    stage.await_run(stage.send(), 15)
    assert not worker.log("broker_lost") + worker.tracebacks()


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """A database without tables."""
    yield postgres.create_database("before_setup")
    postgres.drop_database("before_setup")


@pytest.mark.parametrize("how", [{}, {"skills": "s"}, {"crew": 1}], ids=["one", "skills", "crew"])
def test_a_worker_before_setup(stage: Stage, empty_database: str, how: dict[str, object]) -> None:
    worker = stage.worker("w", ready=False, db=empty_database, no_relay=True, **how)
    (text,) = watched(worker)
    assert text == ("Worker cannot be present: the database has no tables of this version: "
                    "run --setup-db")  # fmt: skip
    migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(SCHEMA)
    worker.await_log("worker_connected", 15)


def test_a_subscriber_before_setup(stage: Stage, empty_database: str) -> None:
    subscriber = stage.subscriber(ready=False, db=empty_database, alone=True)
    (text,) = watched(subscriber)
    assert "run --setup-db" in text
    migrate(empty_database)
    subscriber.await_log("subscribed", 15)


def test_a_relay_before_setup(stage: Stage, empty_database: str) -> None:
    relay = stage.relay(ready=False, db=empty_database)
    (text,) = watched(relay)
    assert "run --setup-db" in text
    migrate(empty_database)
    relay.await_log("relay_leading", 15)


def test_a_queue_that_nobody_declares(stage: Stage, rabbitmq: RabbitMQ) -> None:
    before = connections(rabbitmq)
    worker = stage.worker("w", "red,purple", ready=False, no_relay=True)
    (text,) = watched(worker)
    purple = stage.toy.queue("purple")
    assert f"RabbitMQ has no queue '{purple}'; declare it first" in text
    assert connections(rabbitmq) - before <= MOST_CONNECTIONS
    with stage.broker() as channel:
        Queue(purple, durable=True, queue_arguments={"x-max-priority": 10})(channel).declare()
    try:
        worker.await_log("worker_connected", 15)
        stage.relay()
        stage.await_run(stage.send(), 15)
    finally:
        with stage.broker() as channel:
            channel.queue_delete(purple)


def connections(rabbitmq: RabbitMQ) -> int:
    """How many connections the broker has accepted so far."""
    return rabbitmq.log.read_text(errors="replace").count("accepting AMQP connection")
