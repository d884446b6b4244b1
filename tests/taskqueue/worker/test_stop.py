"""SIGTERM drains, a second SIGINT does not wait, and nothing is lost by either."""

from __future__ import annotations

import signal

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch


def test_sigterm_lets_the_job_finish(stage: Harness) -> None:
    stage.relay()
    worker = stage.worker("leaving", no_relay=True, grace=8)
    gate = stage.gate()
    job, waiting = stage.send("block", until=gate), stage.send()
    stage.await_run(job)
    worker.tell(signal.SIGTERM)
    gate.open()
    # Then the job in hand ends, and no other is begun
    assert worker.ends(8) == 0
    stage.assert_each_once([job])
    assert [run["id"] for run in stage.runs()] == [str(job)]
    stage.await_states(sent=1)
    # And what it left is there for the next
    stage.worker("next", no_relay=True)
    stage.await_all_done()
    stage.assert_each_once([job, waiting])


def test_past_the_grace_period_the_job_is_handed_back(stage: Harness) -> None:
    stage.relay()
    worker = stage.worker("leaving", no_relay=True, grace=0.5)
    gate = stage.gate()
    job = stage.send("sleep", until=gate)
    stage.await_run(job)
    successor = stage.worker("successor", no_relay=True)
    asked = Stopwatch()
    worker.signal(signal.SIGTERM)
    # Then another begins it at once, as the same attempt
    again = stage.await_run(job, count=2)
    asked.assert_within(0.5 + 1.5)
    gate.open()
    assert (again["worker"], again["attempt"]) == ("successor", 1)
    assert worker.ends(5) == 0
    assert worker.log("job_released")
    stage.await_all_done()
    stage.assert_each_once([job])
    assert not successor.tracebacks() + worker.tracebacks()


def test_a_deaf_job_is_left_behind_and_taken_over(stage: Harness) -> None:
    stage.relay()
    worker = stage.worker("leaving", no_relay=True, grace=0.5)
    job = stage.send("block", until=stage.gate(), times=1)
    stage.await_run(job)
    stage.worker("successor", no_relay=True)
    asked = Stopwatch()
    worker.signal(signal.SIGTERM)
    assert worker.ends(6) == 0
    again = stage.await_run(job, count=2)
    assert again["worker"] == "successor"
    asked.assert_within(0.5 + 1.5 + 2)
    stage.await_all_done()
    stage.assert_each_once([job])


def test_an_idle_worker_stops_at_once(stage: Harness) -> None:
    worker = stage.worker("idle")
    asked = Stopwatch()
    worker.signal(signal.SIGTERM)
    assert worker.ends(5) == 0
    asked.assert_within(2)


def test_a_second_sigint_stops_at_once(stage: Harness) -> None:
    stage.relay()
    worker = stage.worker("impatient", no_relay=True, grace=30)
    job = stage.send("block", until=stage.gate(), times=1)
    stage.await_run(job)
    worker.tell(signal.SIGINT)
    assert worker.running  # one is not enough
    asked = Stopwatch()
    worker.ends_interrupted()
    asked.assert_within(1.5)
    stage.worker("successor", no_relay=True)
    stage.await_all_done()
    stage.assert_each_once([job])
