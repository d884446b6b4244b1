"""Which errors fail an attempt, and which are outages during which a job waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from devservices import Postgres
from devservices.ports import free_port

from ...support.taskqueue.sample_app import ATTEMPTS
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until

# So many losses of its connection within the job's block are no failure (executor.py).
LOST_IN_BLOCK = 5


@pytest.fixture
def other_conn(harness: Harness) -> Iterator[psycopg.Connection]:
    """Two rows, and another connection."""
    harness.conn.execute("create table pair (id integer primary key)")
    harness.conn.execute("insert into pair values (1), (2)")
    with psycopg.connect(harness.db_url) as conn:
        yield conn


def reasons(harness: Harness) -> dict[UUID, tuple[str, int]]:
    """Of each dead message its reason, and how many attempts it had."""
    rows = harness.rows("select id, reason, attempts from dead_message")
    return {id: (reason, attempts) for id, reason, attempts in rows}


def await_dead(harness: Harness, jobs: list[UUID]) -> dict[UUID, tuple[str, int]]:
    wait_until(lambda: set(reasons(harness)) >= set(jobs), 20, "all are dead")
    return reasons(harness)


def test_a_statement_may_last_longer_than_one_of_the_frameworks_own(harness: Harness) -> None:
    worker = harness.worker("w")
    job = harness.send("statement", sql="select pg_sleep(12)")
    harness.await_all_done(20)
    harness.assert_each_once([job])
    assert len(harness.runs("begin", job)) == 1
    assert not worker.log("database_lost") + worker.log("lease_lost")


def test_a_locked_row_fails_the_attempt(harness: Harness, other_conn: psycopg.Connection) -> None:
    worker = harness.worker("w")
    other_conn.execute("select from pair where id = 1 for update")
    nowait = "select from pair where id = 1 for update nowait"
    job, once = (harness.send("statement", task=task, sql=nowait) for task in ("play", "once"))
    for reason, attempts in await_dead(harness, [job, once]).values():
        assert attempts == ATTEMPTS
        assert reason.startswith("LockNotAvailable: ")
    assert [len(harness.runs("begin", each)) for each in (job, once)] == [ATTEMPTS] * 2
    assert len(worker.log("job_retried")) == 2 * (ATTEMPTS - 1)
    assert not worker.log("database_lost")


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize("by", ["psycopg", "ours"])
def test_an_error_of_another_database_fails_the_attempt(
    harness: Harness, by: str, inside: bool
) -> None:
    worker = harness.worker("w")
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/elsewhere"
    job = harness.send("elsewhere", by=by, inside=inside, url=url)
    ((reason, attempts),) = await_dead(harness, [job]).values()
    assert attempts == len(harness.runs("begin", job)) == ATTEMPTS
    assert reason.startswith("OperationalError: " if by == "psycopg" else "DatabaseUnavailable: ")
    assert not worker.log("database_lost")
    assert not harness.effects()


def test_a_deadlock_fails_the_attempt(harness: Harness, other_conn: psycopg.Connection) -> None:
    worker = harness.worker("w")
    # Given another session that detects a deadlock later, and holds what the job wants second
    other_conn.execute("set local deadlock_timeout = '60s'")
    other_conn.execute("select from pair where id = 2 for update")
    gate = harness.gate()
    job = harness.send("lock_two", until=gate)
    holds_one = "select from pair where id = 1 for update skip locked"
    wait_until(lambda: not harness.rows(holds_one), 10, "the job holds the first row")
    other = threading.Thread(
        target=other_conn.execute, args=["select from pair where id = 1 for update"]
    )
    other.start()
    waits = "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
    wait_until(
        lambda: harness.rows(waits, other_conn.info.backend_pid), 10, "the other waits for it"
    )
    gate.open()
    line = worker.await_log("job_retried", 15)
    other.join()
    other_conn.rollback()
    harness.await_all_done()
    assert line["message"].startswith("Attempt 1 failed") and "DeadlockDetected" in line["message"]
    assert harness.rows("select attempt from effect where message_id = %s", job) == [(2,)]


def test_an_error_that_the_job_swallows_fails_the_attempt(harness: Harness) -> None:
    worker = harness.worker("w")
    job = harness.send("swallow")
    harness.await_all_done()
    assert harness.rows("select attempt from effect where message_id = %s", job) == [(2,)]
    (line,) = worker.log("job_retried")
    assert "InFailedSqlTransaction" in line["message"]


@pytest.mark.parametrize("task", ["play", "once"])
def test_the_loss_of_its_own_connection_is_no_failure(
    harness: Harness, tmp_path: Path, task: str
) -> None:
    worker = harness.worker("w")
    job = harness.send("cut", task=task, times=1, count=str(tmp_path / "count"))
    harness.await_all_done()
    assert harness.rows("select attempt from effect where message_id = %s", job) == [(1,)]
    assert len(harness.runs("begin", job)) == 2
    assert not worker.log("job_retried") + worker.tracebacks()


@pytest.mark.parametrize("task", ["play", "once"])
def test_a_job_that_always_loses_its_connection_fails_in_the_end(
    harness: Harness, tmp_path: Path, task: str
) -> None:
    worker = harness.worker("w")
    runs = LOST_IN_BLOCK + 1
    job = harness.send("cut", task=task, times=runs, count=str(tmp_path / "count"))
    line = worker.await_log("job_retried", 30)
    assert line["message"].startswith("Attempt 1 failed")
    harness.await_all_done(30)
    assert harness.rows("select attempt from effect where message_id = %s", job) == [(2,)]
    assert len(harness.runs("begin", job)) == runs + 1
    assert len(worker.log("job_retried")) == 1


def test_a_hung_server_in_a_statement_is_no_failure(harness: Harness, postgres: Postgres) -> None:
    worker = harness.worker("w")
    gate = harness.gate()
    job = harness.send("hold", until=gate)
    name = "sample w job"
    inside = """select 1 from pg_stat_activity where application_name = %s
                and datname = current_database() and state = 'idle in transaction'"""
    wait_until(lambda: harness.rows(inside, name), 10, "the job is in its transaction")
    postgres.pause()
    gate.open()
    worker.await_log("database_lost", 20)
    postgres.resume()
    harness.reconnect()
    harness.await_all_done(30)
    assert harness.rows("select attempt from effect where message_id = %s", job) == [(1,)]
    assert not worker.log("job_retried") + worker.tracebacks()
