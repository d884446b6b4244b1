"""Subscribers while servers are away or hung, without their queue, and at their end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from devservices import Postgres, RabbitMQ

from ...support.taskqueue.sample_subscriber import SCHEMA
from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import Stopwatch, wait_until
from .test_subscriber import await_received, ns, shout, shout_all


@pytest.fixture
def received(harness: Harness) -> Callable[[], list[int]]:
    harness.conn.execute(SCHEMA)
    return lambda: [n for (n,) in harness.rows("select n from heard order by position")]


def assert_healthy(process: Process, since: tuple[float, float], share: float = 0.15) -> None:
    """It lives, and has not used much of the processor."""
    used, passed = process.cpu_seconds() - since[0], time.monotonic() - since[1]
    assert process.running
    assert used < share * passed + 0.3, f"{process.name}: {used:.2f} s of CPU in {passed:.1f} s"
    assert len(process.log()) < 60
    assert not process.tracebacks()


def now(process: Process) -> tuple[float, float]:
    return process.cpu_seconds(), time.monotonic()


def test_the_broker_absent_at_the_start_and_killed_in_the_middle(
    harness: Harness, received: Callable[[], list[int]], rabbitmq: RabbitMQ
) -> None:
    rabbitmq.kill9()
    subscriber = harness.subscriber(ready=False)
    subscriber.await_log("broker_lost", 15)
    since = now(subscriber)
    time.sleep(2)  # some time without a broker
    assert_healthy(subscriber, since)
    rabbitmq.start()
    subscriber.await_log("subscribed", 10)
    assert len(subscriber.log("broker_lost")) == 1
    # When it crashes with an event in progress and others waiting
    rabbitmq.flush_topology()  # or the queue may be forgotten, with all that is in it
    gate = harness.gate()
    shout_all(
        harness,
        [{"n": 0, "mode": "block", "until": str(gate)}]
        + [{"n": n, "mode": "ok"} for n in range(1, 30)],
    )
    wait_until(lambda: ns(harness) == [0], 5, "the first is in hand")
    rabbitmq.kill9()
    gate.open()
    rabbitmq.start()
    subscriber.await_log("broker_reconnected", 15, count=2)
    await_received(received, 30, 20)
    assert received() == list(range(30))
    assert [(line["level"]) for line in subscriber.log("broker_lost")] == ["WARNING"] * 2
    assert_healthy(subscriber, since, 0.3)


def test_a_hung_broker(
    harness: Harness, received: Callable[[], list[int]], rabbitmq: RabbitMQ
) -> None:
    subscriber = harness.subscriber(heartbeat=2)
    shout(harness, 1)
    await_received(received, 1)
    rabbitmq.pause()
    since = now(subscriber)
    subscriber.await_log("broker_lost", 20)
    assert_healthy(subscriber, since)
    rabbitmq.resume()
    subscriber.await_log("broker_reconnected", 20)
    shout(harness, 2)
    await_received(received, 2)
    # And it stops while the server hangs again
    rabbitmq.pause()
    subscriber.await_log("broker_lost", 20, count=2)
    asked = Stopwatch()
    subscriber.signal(signal.SIGTERM)
    assert subscriber.ends(5) == 0
    asked.assert_within(2.5)


def test_the_heartbeat_is_kept_while_a_handler_works_and_waits(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    subscriber = harness.subscriber(heartbeat=1)
    shout(harness, 1, "block", seconds=5)
    shout(harness, 2)
    await_received(received, 2)
    assert not subscriber.log("broker_lost")
    assert [line["redelivered"] for line in harness.runs()] == [False, False]


@pytest.mark.parametrize("own", [False, True])
def test_a_queue_that_a_person_deletes_is_declared_again(
    harness: Harness, received: Callable[[], list[int]], rabbitmq: RabbitMQ, own: bool
) -> None:
    subscriber = harness.subscriber(own=own)
    shout(harness, 1)
    await_received(received, 1)
    if own:
        listed = rabbitmq.ctl("list_queues", "name").split()
        (name,) = [name for name in listed if name.startswith(f"{harness.prefix}.own.")]
        # No other connection may delete it, so its topology is deleted
        with harness.broker() as channel:
            channel.exchange_delete(harness.prefix)
        assert name
        rabbitmq.ctl("close_all_connections", "test")
    else:
        with harness.broker() as channel:
            channel.queue_delete(harness.sample.events)
    subscriber.await_log("broker_reconnected", 10)
    shout(harness, 2)
    await_received(received, 2)
    assert received() == [1, 2]


def test_the_database_away_at_the_start_and_in_the_middle(
    harness: Harness, received: Callable[[], list[int]], postgres: Postgres
) -> None:
    postgres.kill9()
    subscriber = harness.subscriber(ready=False, heartbeat=2)
    subscriber.await_log("database_lost", 10)
    shout(harness, 1)
    since = now(subscriber)
    time.sleep(3)  # longer than the heartbeat lasts
    assert_healthy(subscriber, since)
    postgres.start()
    subscriber.await_log("subscribed", 10)
    await_received(received, 1)
    postgres.kill9()
    shout_all(harness, [{"n": n, "mode": "ok"} for n in range(2, 10)])
    subscriber.await_log("database_lost", 10, count=2)
    postgres.start()
    harness.reconnect()
    subscriber.await_log("database_reconnected", 15)
    await_received(received, 9)
    assert received() == list(range(1, 10))
    assert not subscriber.log("broker_lost"), "its connection to the broker is kept meanwhile"
    assert not subscriber.log("event_retried"), "an absent server is no failed attempt"
    assert len(subscriber.log("database_lost")) == 2


def test_a_hung_database(
    harness: Harness, received: Callable[[], list[int]], postgres: Postgres
) -> None:
    subscriber = harness.subscriber(heartbeat=2)
    shout(harness, 1)
    await_received(received, 1)
    postgres.pause()
    shout(harness, 2)
    subscriber.await_log("database_lost", 20)
    assert not subscriber.log("broker_lost")
    postgres.resume()
    harness.reconnect()
    await_received(received, 2)
    assert received() == [1, 2]


def test_tables_that_are_missing_are_waited_for(harness: Harness) -> None:
    subscriber = harness.subscriber()
    shout_all(harness, [{"n": n, "mode": "ok"} for n in range(3)])
    line = subscriber.await_log("database_refused")
    assert line["level"] == "ERROR" and "heard" in line["message"]
    time.sleep(2)  # longer than the policy tries what fails
    assert not subscriber.log("event_retried") and not subscriber.log("event_dead")
    assert len(subscriber.log("database_refused")) == 1
    harness.conn.execute(SCHEMA)
    wait_until(lambda: ns(harness, "heard") == [0, 1, 2], 10, "all are received")


def test_a_dead_letter_queue_that_a_person_deletes_is_declared_again(harness: Harness) -> None:
    subscriber = harness.subscriber(db=False)
    with harness.broker() as channel:
        channel.queue_delete("dead_letter_queue")
    shout(harness, 1, "poison")
    subscriber.await_log("broker_reconnected")
    (dead_letter,) = harness.await_dead()
    assert dead_letter.properties["application_headers"]["reason"] == "not to my taste"
    assert subscriber.log("broker_lost") and not subscriber.tracebacks()
    shout(harness, 2)
    wait_until(lambda: 2 in ns(harness, "heard"), 5, "it continues")


def test_sigterm_waits_for_the_event_in_progress(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    subscriber = harness.subscriber()
    gate = harness.gate()
    shout_all(harness, [{"n": n, "mode": "block", "until": str(gate)} for n in range(3)])
    wait_until(lambda: ns(harness) == [0], 5, "the first is in hand")
    asked = Stopwatch()
    subscriber.deliver_signal(signal.SIGTERM)
    gate.open()
    assert subscriber.ends(5) == 0
    asked.assert_within(2)
    assert received() == [0]
    wait_until(
        lambda: harness.ready(harness.sample.events) == 2, 5, "the others are back in the queue"
    )
    assert not subscriber.tracebacks()


@pytest.mark.parametrize("what", ["idle", "deaf", "retrying", "database away"])
def test_sigterm_is_obeyed_within_two_seconds(
    harness: Harness, received: Callable[[], list[int]], postgres: Postgres, what: str
) -> None:
    subscriber = harness.subscriber(attempts=100)
    if what == "deaf":
        shout(harness, 1, "block", until=str(harness.gate()))
    elif what == "retrying":
        shout(harness, 1, "fail")
    elif what == "database away":
        postgres.kill9()
        shout(harness, 1)
        subscriber.await_log("database_lost")
    if what in ("deaf", "retrying"):
        wait_until(lambda: ns(harness), 5, "it has begun")
    asked = Stopwatch()
    subscriber.signal(signal.SIGTERM)
    assert subscriber.ends(5) == 0
    asked.assert_within(2.5)
    left = 0 if what == "idle" else 1
    wait_until(lambda: harness.ready(harness.sample.events) == left, 5, "what was in hand is back")


def test_a_second_sigint_ends_it_at_once(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    subscriber = harness.subscriber()
    shout(harness, 1, "block", until=str(harness.gate()))
    wait_until(lambda: ns(harness) == [1], 5, "it is in hand")
    subscriber.deliver_signal(signal.SIGINT)
    assert subscriber.running
    asked = Stopwatch()
    subscriber.ends_interrupted()
    asked.assert_within(1)
