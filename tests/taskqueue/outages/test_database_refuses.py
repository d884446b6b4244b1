"""PostgreSQL refuses writes, or cuts connections: jobs wait, and no attempt is counted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ...support.taskqueue.sample_app import ATTEMPTS
from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import wait_until

Block = Callable[[], AbstractContextManager[None]]

_CUT = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"


def labels(harness: Harness, job: object) -> dict[str, int]:
    """How often each effect of a job was made."""
    query = "select label, count(*) from effect where message_id = %s group by 1"
    return dict(harness.rows(query, job))


def stays_quiet(process: Process, action: str) -> bool:
    """The process logged the cause once, as a warning, without a traceback."""
    levels = [line["level"] for line in process.log(action)]
    return process.running and levels == ["WARNING"] and not process.tracebacks()


def test_a_job_in_the_middle_is_done_after_it_in_the_same_attempt(
    harness: Harness, reading_only: Block
) -> None:
    worker = harness.worker("w", lease=3, no_relay=True)
    relay = harness.relay()
    gate = harness.gate()
    job = harness.send("two", until=gate)
    wait_until(lambda: labels(harness, job), 10, "its first step has committed")

    with reading_only():
        gate.open()
        worker.await_log("database_lost", 20)
        relay.await_log("relay_lost", 20)

    later = harness.send()
    harness.await_all_done(30)
    assert {run["attempt"] for run in harness.runs("end", job)} == {1}
    assert labels(harness, job)[" ended"] == 1
    assert harness.effects()[later] == 1
    assert stays_quiet(worker, "database_lost") and stays_quiet(relay, "relay_lost")
    assert not worker.log("session_lost")
    assert not worker.log("job_retried") and not worker.log("job_dead")


def test_more_cut_connections_than_attempts_do_not_dead_letter_a_job(harness: Harness) -> None:
    worker = harness.worker("w")
    gate = harness.gate()
    job = harness.send("two", until=gate, shut=True)
    for count in range(1, ATTEMPTS + 2):
        harness.await_run(job, count=count, within=20)
        begun = lambda n=count: labels(harness, job).get(" begun", 0) == n  # noqa: E731
        wait_until(begun, 10, "its first step has committed")
        wait_until(lambda: harness.rows(_CUT, "sample w job"), 10, "its connection is cut")
        gate.open()

    harness.await_run(job, count=ATTEMPTS + 2, within=20)
    gate.open()
    harness.await_all_done(20)
    assert {run["attempt"] for run in harness.runs("end", job)} == {1}
    assert labels(harness, job)[" ended"] == 1
    assert worker.running
    assert not worker.log("job_retried") and not worker.log("job_dead")
    assert not worker.tracebacks()
