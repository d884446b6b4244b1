"""Several workers in one process: at the same time, each with a name, and stopped as one."""

from __future__ import annotations

import signal

from ...support.taskqueue.worker_process import Harness


def test_a_worker_pool_runs_jobs_at_the_same_time_and_stops_as_one(harness: Harness) -> None:
    # Given two workers in one process, and a job that waits for a gate
    pool = harness.worker("pool", pool=2)
    gate = harness.gate()
    held = harness.send("block", until=gate)
    harness.await_run(held)
    # Then others are done meanwhile, by the other one
    others = harness.send_many(3)
    harness.await_states(claimed=1)
    first = harness.runs("begin", held)[0]["worker"]
    assert set(harness.shares()) == {"pool.1", "pool.2"} - {first}
    # When it gets SIGTERM, jobs in progress are finished
    pool.signal(signal.SIGTERM)
    gate.open()
    assert pool.guarded.wait() == 0
    harness.assert_each_once([held, *others])
    assert not pool.tracebacks()
