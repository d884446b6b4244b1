"""Messages that other programs write to our queues become jobs."""

from __future__ import annotations

import json
from typing import Any

import amqp

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


def put(harness: Harness, body: Any, **properties: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with harness.broker() as channel:
        channel.basic_publish(amqp.Message(data, **properties), "", harness.sample.queue("green"))


def test_a_message_of_another_program_becomes_a_job_with_all_guarantees(harness: Harness) -> None:
    worker = harness.worker("w", "green,red")
    put(harness, {"mode": "fail", "times": 2, "label": "foreign"}, priority=3)
    wait_until(lambda: harness.shares() == {"w": 1}, 20, "it had its effect, in the third attempt")
    assert [run["attempt"] for run in harness.runs()] == [1, 2, 3]
    assert worker.log("message_accepted")
    harness.await_all_done()


def test_a_message_of_another_program_delivered_twice_counts_once(harness: Harness) -> None:
    harness.worker("w", "green,red")
    for _ in range(3):
        put(harness, {"mode": "ok"}, message_id="order 7 of somebody")
    put(harness, {"mode": "ok"}, message_id="order 8 of somebody")
    # Two without an id are two messages.
    for _ in range(2):
        put(harness, {"mode": "ok"})
    wait_until(lambda: sum(harness.effects().values()) == 4, 15, "each had its effect")
    harness.await_all_done()
    assert sum(harness.effects().values()) == 4


def test_a_message_of_another_program_without_an_id_survives_the_death_of_its_worker(
    harness: Harness,
) -> None:
    mortal = harness.worker("mortal", "green,red")
    # All differ: without ids, a redelivered copy counts as the other one.
    for turn in range(20):
        put(harness, {"mode": "sleep", "seconds": 0.05 + turn / 10_000})
    mortal.kill9()
    harness.worker("heir", "green,red")
    wait_until(lambda: len(harness.effects()) == 20, 30, "all had their effect")
    harness.await_all_done()
    assert set(harness.effects().values()) == {1}


def test_an_invalid_message_of_another_program_is_a_dead_letter_with_its_reason(
    harness: Harness,
) -> None:
    harness.worker("w", "green,red")
    put(harness, b"{not json")
    put(harness, {"mode": "fly"})
    reasons = sorted(
        dead_letter.properties["application_headers"]["reason"]
        for dead_letter in harness.await_dead(2)
    )
    assert reasons[0] == "no mode fly"
    assert reasons[1].startswith("the body is not JSON")
