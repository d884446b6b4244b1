"""Workers that die or freeze during a job: another takes over, with one effect."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ...support.taskqueue.sample_app import COLOURS
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


@pytest.mark.parametrize("task", ["play", "once"])
def test_a_killed_workers_job_is_taken_over_within_two_seconds(harness: Harness, task: str) -> None:
    harness.relay()
    worker = harness.worker("doomed", no_relay=True)
    gate = harness.gate()
    job = harness.send("two", task=task, until=gate)
    wait_until(lambda: harness.effects()[job] == 1, 10, "the first step has committed")
    harness.worker("heir", no_relay=True)
    killed = Stopwatch()
    worker.kill9()
    again = harness.await_run(job, count=2)
    killed.assert_within(2)
    gate.open()
    assert again["worker"] == "heir"
    harness.await_all_done()
    steps = harness.rows("select label, worker, attempt from effect order by id")
    assert steps == [(" begun", "doomed", 1), (" begun", "heir", 2), (" ended", "heir", 2)]


def test_a_frozen_worker_loses_its_sessions_and_has_no_effect(harness: Harness) -> None:
    harness.relay()
    # Given three that freeze: in a sleep, without reading, and without reading until they fail
    modes = {"sleeper": "sleep", "deaf": "block_two", "failing": "late_failure"}
    jobs = {}
    frozen = {}
    gate = harness.gate()
    for (name, mode), colour in zip(modes.items(), COLOURS, strict=True):
        frozen[name] = harness.worker(name, colour, no_relay=True, lease=2, heartbeat=2)
        jobs[name] = harness.send(mode, colour, until=gate, label=name)
        harness.await_run(jobs[name])
        frozen[name].freeze()
    gate.open()
    # When another worker has taken over all of them, after the lease
    harness.worker("heir", ",".join(COLOURS), no_relay=True, lease=2, heartbeat=2)
    with ThreadPoolExecutor() as pool:
        again = list(
            pool.map(lambda job: harness.await_run(job, within=30, count=2), jobs.values())
        )
    assert {run["worker"] for run in again} == {"heir"}
    for name in ("deaf", "sleeper"):
        harness.await_run(jobs[name], event="end")
    for worker in frozen.values():
        worker.thaw()
    # Then each finds its sessions ended and its message taken over, and continues as a worker
    for worker in frozen.values():
        worker.await_log("job_skipped", 15)
        worker.await_log("worker_reconnected", 15)
        assert not worker.tracebacks()
    assert all(worker.running for worker in frozen.values())
    effects = harness.effects()
    assert (effects[jobs["deaf"]], effects[jobs["sleeper"]]) == (2, 1)
    makers = harness.rows("select distinct worker from effect")
    assert makers == [("heir",)]


def test_a_worker_that_dies_in_every_attempt_is_not_tried_for_ever(harness: Harness) -> None:
    harness.relay()
    job = harness.send("exit", label="killer")
    for number in range(5):
        worker = harness.worker(f"victim{number}", no_relay=True, ready=False)
        over = lambda worker=worker: not worker.running or not harness.states()  # noqa: E731
        wait_until(over, 15, "dead, or given up")
        if worker.running:
            break
    dead_letter = harness.await_dead()[0]
    assert dead_letter.properties["message_id"] == str(job)
    headers = dead_letter.properties["application_headers"]
    assert "3 attempts" in headers["reason"]
    assert len(harness.runs()) == 3
    assert worker.running


def test_a_dead_workers_job_needs_no_lease_to_run_out(harness: Harness) -> None:
    harness.relay()
    worker = harness.worker("doomed", no_relay=True, lease=600)
    job = harness.send("sleep", seconds=60)
    harness.await_run(job)
    # Given that its delivery is lost with it
    red = harness.sample.queue("red")
    worker.kill9()
    with harness.broker() as channel:
        wait_until(lambda: channel.queue_purge(red) == 1, 5, "the delivery is back, and gone")
    wait_until(lambda: harness.ready(red) == 1, 25, "it is sent again")
