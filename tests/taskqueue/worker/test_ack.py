"""One job at a time, heartbeats meanwhile, and the acknowledgement only after the commit."""

from __future__ import annotations

import signal

from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import wait_until


def assert_all_acked(harness: Harness, worker: Process) -> None:
    """Nothing comes back when the worker goes home.

    Not when it is killed: that may come between the commit that a test sees and its ack.
    """
    worker.signal(signal.SIGTERM)
    assert worker.ends(10) == 0
    assert harness.ready(harness.sample.queue("red")) == 0


def test_a_job_longer_than_the_heartbeat_time_out_is_delivered_once(harness: Harness) -> None:
    # Given a worker whose connection the broker drops after 2 silent seconds
    worker = harness.worker("patient", heartbeat=1)
    # When a job takes 5 s, without reading from the broker
    job = harness.send("block", seconds=5)
    harness.await_all_done(14)
    # Then it ran once, was acked, and the connection has never been lost
    harness.assert_each_once([job])
    assert len(harness.runs()) == 1
    assert not worker.log("broker_lost")
    assert_all_acked(harness, worker)


def test_a_worker_killed_between_commit_and_ack_leaves_one_effect(
    harness: Harness, tmp_path
) -> None:
    harness.relay()
    worker = harness.worker("first", no_relay=True)
    job = harness.send("exit_before_ack", once=str(tmp_path / "mark"))
    assert worker.ends(10) == 137
    # Given that the delivery is still there, unacked
    wait_until(lambda: harness.ready(harness.sample.queue("red")) == 1, 5, "the delivery is back")
    # When another worker gets it
    second = harness.worker("second", no_relay=True)
    second.await_log("job_skipped")
    # Then the effect stays single, and the delivery is gone
    harness.assert_each_once([job])
    assert len(harness.runs()) == 1
    assert_all_acked(harness, second)


def test_a_worker_does_one_job_at_a_time(harness: Harness) -> None:
    harness.worker("single", "red,green,blue")
    with harness.conn.transaction():
        for colour in ("red", "green", "blue") * 3:
            harness.send("sleep", colour, seconds=0.1)
    harness.await_all_done()
    runs = zip(harness.runs("begin")[1:], harness.runs("end"), strict=False)
    assert all(end["at"] <= begin["at"] for begin, end in runs)
