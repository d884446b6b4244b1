"""RabbitMQ absent, crashed or hung: everything arrives in order, and no process ends."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict

import psycopg

from devservices import RabbitMQ
from pizza.taskqueue.task import publish

from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import Stopwatch, wait_until


def assert_healthy(process: Process, since: tuple[float, float], share: float = 0.15) -> None:
    """The process lives, has logged the loss, and has not used much of the processor."""
    used, passed = process.cpu_seconds() - since[0], time.monotonic() - since[1]
    assert process.running
    assert {line["level"] for line in process.log("broker_lost")} == {"WARNING"}
    assert used < share * passed + 0.3, f"{process.name}: {used:.2f} s of CPU in {passed:.1f} s"
    assert len(process.log()) < 60
    assert not process.tracebacks()


def now(process: Process) -> tuple[float, float]:
    return process.cpu_seconds(), time.monotonic()


def test_absent_at_the_start_and_killed_in_the_middle(harness: Harness, rabbitmq: RabbitMQ) -> None:
    rabbitmq.kill9()
    worker = harness.worker("w", "red,green", ready=False)
    worker.await_log("broker_lost", 15)
    since = now(worker)
    jobs = harness.send_many(10)
    time.sleep(2)  # some time without a broker
    assert_healthy(worker, since)
    rabbitmq.start()
    back = Stopwatch()
    harness.await_all_done(12)
    back.assert_within(7)  # at most five seconds between two tries
    # When it crashes with messages waiting, sent, and one being worked on
    gate = harness.gate()
    busy = harness.send("sleep", until=gate)
    harness.await_run(busy)
    jobs += [busy, *harness.send_many(30)]
    wait_until(lambda: harness.states()["sent"] == 30, 5, "the others wait")
    rabbitmq.kill9()
    gate.open()
    jobs += harness.send_many(10)
    wait_until(lambda: harness.effects()[busy] == 1, 5, "the job ends without the broker")
    rabbitmq.start()
    harness.await_all_done(20)
    harness.assert_each_once(jobs)
    assert len(harness.runs("begin", busy)) == 1
    assert_healthy(worker, since, share=0.3)


def test_hung_and_resumed(harness: Harness, rabbitmq: RabbitMQ) -> None:
    worker = harness.worker("w", heartbeat=2)
    gate = harness.gate()
    busy = harness.send("sleep", until=gate)
    harness.await_run(busy)
    rabbitmq.pause()
    gate.open()
    since = now(worker)
    jobs = [busy, *harness.send_many(20)]
    wait_until(lambda: harness.effects()[busy] == 1, 5, "the job ends without the broker")
    worker.await_log("broker_lost", 20)
    wait_until(lambda: len(worker.log("broker_lost")) >= 2, 20, "relay and worker have noticed")
    assert_healthy(worker, since)
    rabbitmq.resume()
    resumed = Stopwatch()
    harness.await_all_done(20)
    resumed.assert_within(15)
    harness.assert_each_once(jobs)


def test_the_order_of_each_key_outlives_crashes_while_publishing(
    harness: Harness, rabbitmq: RabbitMQ
) -> None:
    rabbitmq.flush_topology()  # else the queue of events may be lost
    relay = harness.relay()
    keys = 8
    sent = 0
    over = threading.Event()

    def send() -> None:
        nonlocal sent
        with psycopg.connect(harness.db_url, autocommit=True) as conn:
            while not over.wait(0.005):
                with conn.transaction():
                    for key in range(keys):
                        publish(conn, harness.prefix, f"event.{key}", {"key": key, "n": sent})
                sent += 1

    sender = threading.Thread(target=send)
    sender.start()
    wait_until(lambda: sent > 50, 10, "some are underway")
    rabbitmq.kill9()
    rabbitmq.start()
    relay.await_log("broker_reconnected", 15)
    over.set()
    sender.join()
    harness.await_all_done(30)
    assert relay.running and not relay.tracebacks()
    seen: set[str] = set()
    order = defaultdict(list)
    for message in harness.drain():
        if message.properties["message_id"] not in seen:
            seen.add(message.properties["message_id"])
            body = json.loads(message.body)
            order[body["key"]].append(body["n"])
    assert {key: len(numbers) for key, numbers in order.items()} == dict.fromkeys(range(keys), sent)
    assert all(numbers == sorted(numbers) for numbers in order.values())
