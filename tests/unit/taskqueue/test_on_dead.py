"""`on_dead` of a task gets its dead messages, in the transaction that makes them dead letters."""

from __future__ import annotations

from typing import Any

import pytest

from pizza.database.connection import BoundedConnection
from pizza.database.errors import DatabaseUnavailable
from pizza.taskqueue import App, Job, RetryPolicy
from pizza.taskqueue.dead_letters.callback import DeadMessage
from pizza.taskqueue.errors import MaxAttemptsExceeded, PoisonMessage
from pizza.taskqueue.task import publish
from pizza.taskqueue.testing import RunResult, run
from pizza.taskqueue.worker.executor import Outcome

app = App("test")
seen: list[DeadMessage] = []
problems: list[Exception] = []


def answer(conn: BoundedConnection, dead: DeadMessage) -> None:
    seen.append(dead)
    publish(conn, "", dead.reply_to or "nowhere", {"sorry": True}, correlation_id="c")
    if problems:
        raise problems.pop()


@app.task("bill", queue="bills", retry=RetryPolicy(max_attempts=3, jitter=0), on_dead=answer)
def bill(job: Job) -> None:
    with job.transaction() as conn:
        conn.execute("step")
    raise ValueError("no paper")


@app.task("reply", queue="replies")
def reply(job: Job) -> None:
    with job.complete() as conn:
        publish(conn, "", job.reply_to or "", {}, correlation_id=job.correlation_id)


def send(body: Any = None, **options: Any) -> tuple[RunResult, list[DeadMessage]]:
    seen.clear()
    return run(bill, body, reply_to="till", correlation_id="7", **options), list(seen)


def test_a_job_knows_where_its_answer_goes() -> None:
    (sent,) = run(reply, {}, reply_to="till", correlation_id="7").sent
    assert sent.headers is not None
    assert (sent.routing_key, sent.headers["correlation_id"]) == ("till", "7")


def test_a_message_whose_last_attempt_failed() -> None:
    report, (dead,) = send({"n": 1}, attempt=3)
    assert report.outcome is Outcome.DEAD_LETTERED
    assert isinstance(dead.error, ValueError)
    assert (dead.attempt, dead.body, dead.queue) == (3, b'{"n":1}', "bills")
    assert (dead.reply_to, dead.correlation_id) == ("till", "7")
    assert [sent.routing_key for sent in report.sent] == ["till"]


def test_a_message_whose_workers_died() -> None:
    _, (dead,) = send({}, attempt=4)
    assert isinstance(dead.error, MaxAttemptsExceeded)


def test_a_message_that_cannot_be_read() -> None:
    report, (dead,) = send(b"{")
    assert report.outcome is Outcome.DEAD_LETTERED
    assert isinstance(dead.error, PoisonMessage)
    assert (dead.attempt, dead.body, dead.reply_to) == (0, b"{", "till")
    assert len(report.sent) == 1


def test_a_message_that_is_tried_again_is_not_dead() -> None:
    report, dead = send({}, attempt=1)
    assert (report.outcome, dead, report.sent) == (Outcome.RESCHEDULED, [], [])


@pytest.mark.parametrize("body", [{}, b"{"])
def test_a_failure_of_the_hook_leaves_the_dead_letter(
    body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    problems.append(KeyError("bug"))
    report, dead = send(body, attempt=3)
    assert len(dead) == 1
    assert (report.outcome, report.sent) == (Outcome.DEAD_LETTERED, [])
    assert report.reason
    actions = [getattr(record, "action", None) for record in caplog.records]
    assert "on_dead_failed" in actions


@pytest.mark.parametrize("body", [{}, b"{"])
def test_with_the_database_away_neither_is_done_and_both_come_again(body: Any) -> None:
    problems.append(DatabaseUnavailable("away"))
    report, dead = send(body, attempt=3)
    assert len(dead) == 2
    assert report.outcome is Outcome.DEAD_LETTERED
    assert len(report.sent) == 1
