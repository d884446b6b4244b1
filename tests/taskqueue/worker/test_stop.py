"""SIGTERM drains a worker, a second SIGINT does not wait, and nothing is lost by either."""

from __future__ import annotations

import signal

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch


def test_sigterm_lets_the_job_finish(harness: Harness) -> None:
    harness.relay()
    worker = harness.worker("leaving", no_relay=True, grace=8)
    gate = harness.gate()
    job, waiting = harness.send("block", until=gate), harness.send()
    harness.await_run(job)
    worker.deliver_signal(signal.SIGTERM)
    gate.open()
    # Then the running job ends, and no other is started
    assert worker.ends(8) == 0
    harness.assert_each_once([job])
    assert [run["id"] for run in harness.runs()] == [str(job)]
    harness.await_states(sent=1)
    # And what it left is there for the next
    harness.worker("next", no_relay=True)
    harness.await_all_done()
    harness.assert_each_once([job, waiting])


def test_past_the_grace_period_the_job_is_handed_back(harness: Harness) -> None:
    harness.relay()
    worker = harness.worker("leaving", no_relay=True, grace=0.5)
    gate = harness.gate()
    job = harness.send("sleep", until=gate)
    harness.await_run(job)
    successor = harness.worker("successor", no_relay=True)
    asked = Stopwatch()
    worker.signal(signal.SIGTERM)
    # Then another begins it at once, as the same attempt
    again = harness.await_run(job, count=2)
    asked.assert_within(0.5 + 1.5)
    gate.open()
    assert (again["worker"], again["attempt"]) == ("successor", 1)
    assert worker.ends(5) == 0
    assert worker.log("job_released")
    harness.await_all_done()
    harness.assert_each_once([job])
    assert not successor.tracebacks() + worker.tracebacks()


def test_a_job_that_ignores_the_stop_is_abandoned_and_taken_over(harness: Harness) -> None:
    harness.relay()
    worker = harness.worker("leaving", no_relay=True, grace=0.5)
    job = harness.send("block", until=harness.gate(), times=1)
    harness.await_run(job)
    harness.worker("successor", no_relay=True)
    asked = Stopwatch()
    worker.signal(signal.SIGTERM)
    assert worker.ends(6) == 0
    again = harness.await_run(job, count=2)
    assert again["worker"] == "successor"
    asked.assert_within(0.5 + 1.5 + 2)
    harness.await_all_done()
    harness.assert_each_once([job])


def test_an_idle_worker_stops_at_once(harness: Harness) -> None:
    worker = harness.worker("idle")
    asked = Stopwatch()
    worker.signal(signal.SIGTERM)
    assert worker.ends(5) == 0
    asked.assert_within(2)


def test_a_second_sigint_stops_at_once(harness: Harness) -> None:
    harness.relay()
    worker = harness.worker("impatient", no_relay=True, grace=30)
    job = harness.send("block", until=harness.gate(), times=1)
    harness.await_run(job)
    worker.deliver_signal(signal.SIGINT)
    assert worker.running  # one is not enough
    asked = Stopwatch()
    worker.ends_interrupted()
    asked.assert_within(1.5)
    harness.worker("successor", no_relay=True)
    harness.await_all_done()
    harness.assert_each_once([job])
