"""A job that exceeds the time limit of its task is a failed attempt."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...support.taskqueue.sample_app import ATTEMPTS, TIME_LIMIT_S
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until

LIMIT_S = TIME_LIMIT_S + 1.0
ON_DEAD = "select label, attempt from effect where message_id = %s"


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "sleep", "seconds": 600},
        {"mode": "statement", "sql": "select pg_sleep(600)"},
        {"mode": "statement_outside", "sql": "select pg_sleep(600)"},
    ],
    ids=["in job.sleep", "in its last transaction", "in another transaction"],
)
def test_a_job_that_takes_longer_fails(harness: Harness, body: dict[str, object]) -> None:
    worker = harness.worker("w", lease=600)
    watch = Stopwatch()
    job = harness.send(task="limited", **body)
    dead = "select id, attempts, reason from dead_message"
    wait_until(lambda: harness.rows(dead), 20, "the message is dead")
    ((id, attempts, reason),) = harness.rows(dead)
    assert (id, attempts) == (job, ATTEMPTS)
    assert harness.rows(ON_DEAD, job) == [("dead", ATTEMPTS)]
    assert reason == "TimeLimitExceeded: the job took longer than its time limit of 1 s"
    for begin, end in zip(harness.runs("begin", job), harness.runs("end", job), strict=True):
        took = end["at"] - begin["at"]
        assert took >= TIME_LIMIT_S / 2  # it counts from before the claim
        watch.assert_within(LIMIT_S, took)
        assert end["how"] == "TimeLimitExceeded"
    # And its worker is free for others
    assert harness.await_run(harness.send(), event="end")["worker"] == "w"
    assert worker.running and not worker.tracebacks()
    left = """select 1 from pg_stat_activity
              where application_name = 'sample w job' and datname = current_database()
                and state = 'active' and query = 'select pg_sleep(600)'"""
    wait_until(lambda: not harness.rows(left), 10, "its statement is over at the server too")


def test_a_job_that_cannot_be_interrupted_loses_its_claim(harness: Harness, tmp_path: Path) -> None:
    harness.relay()
    worker = harness.worker("hung", no_relay=True, lease=600)
    job = harness.send("loop", task="limited", times=1, count=str(tmp_path / "count"))
    harness.await_run(job)
    heir = harness.worker("heir", no_relay=True)
    # Then its attempt is counted, another makes the next, and its process asks to be started again
    line = worker.await_log("job_hung", 20)
    assert line["level"] == "ERROR" and "time limit of 1 s" in line["message"]
    assert worker.ends(10) == 1
    harness.await_all_done()
    rows = harness.rows("select worker, attempt from effect where message_id = %s", job)
    assert rows == [("heir", 2)]
    assert heir.running
    tally = dict(harness.rows("select what, number from message_counter"))
    assert tally == {"retried": 1}


def test_a_job_that_cannot_be_interrupted_is_dead_after_its_last_attempt(
    harness: Harness, tmp_path: Path
) -> None:
    harness.relay()
    job = harness.send("loop", task="limited", times=99, count=str(tmp_path / "count"))
    for number in range(ATTEMPTS):
        worker = harness.worker(f"hung{number}", no_relay=True)
        assert worker.ends(20) == 1
    dead = harness.rows("select id, attempts, reason from dead_message")
    assert [(id, attempts) for id, attempts, _ in dead] == [(job, ATTEMPTS)]
    assert "TimeLimitExceeded" in dead[0][2]
    assert harness.rows(ON_DEAD, job) == [("dead", ATTEMPTS)]
