"""A message whose delivery is lost while its worker holds it runs once the worker releases it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest

from devservices import Proxy, RabbitMQ

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until

LIMIT_S = 5.0
BACKLOG = 30


@contextmanager
def busy_queue(harness: Harness) -> Iterator[list[UUID]]:
    """A queue that never runs empty: 30 messages of lower priority wait in it all along."""
    sent: list[UUID] = []
    over = threading.Event()
    waiting = "select count(*) from message where state in ('pending', 'sent') and priority = 1"

    def send() -> None:
        with psycopg.connect(harness.db_url, autocommit=True) as conn:
            while not over.wait(0.05):
                row = conn.execute(waiting).fetchone()
                assert row is not None
                for _ in range(BACKLOG - row[0]):
                    body = {"mode": "sleep", "seconds": 0.05}
                    place = {"queue": harness.sample.queue("red"), "routing_key": "red"}
                    sent.append(harness.sample.play.send(conn, body, priority=1, **place))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        wait_until(lambda: len(sent) > BACKLOG, 10, "the queue is full, and moves")
        yield sent
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_message_that_was_acknowledged_elsewhere_does_not_starve(
    harness: Harness, rabbitmq: RabbitMQ, end: str
) -> None:
    harness.relay()
    wire = Proxy(rabbitmq.address)
    try:
        address = rabbitmq.url.replace(rabbitmq.address, wire.address)
        first = harness.worker("first", broker=address, no_relay=True, grace=0.5)
        gate = harness.gate()
        job = harness.send("sleep", priority=5, until=gate)
        harness.await_run(job)
        second = harness.worker("second", no_relay=True)
        # Given that its worker's connection is cut, and the delivery is dropped by another
        wire.reset()
        second.await_log("job_skipped", 15)
        with busy_queue(harness) as others:
            if end == "killed":
                first.kill9()
            else:
                first.signal(signal.SIGTERM)
                first.await_log("job_released", 10)
            ended = Stopwatch()
            gate.open()
            wait_until(lambda: harness.effects()[job], 30, "the job is done")
            ended.assert_within(LIMIT_S)
        harness.await_all_done(30)
        harness.assert_each_once([job, *others])
        assert harness.rows("select worker from effect where message_id = %s", job) == [("second",)]
    finally:
        wire.close()
