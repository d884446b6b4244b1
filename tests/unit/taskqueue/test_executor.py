"""Every outcome of a delivery, on the fake connection for users of the framework."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pizza.database.errors import DatabaseUnavailable
from pizza.taskqueue import App, Job, RetryPolicy
from pizza.taskqueue.errors import FrameworkError, PoisonMessage
from pizza.taskqueue.task import publish
from pizza.taskqueue.testing import FakeConnection, TokenRefused, run
from pizza.taskqueue.worker.executor import Outcome

app = App("test")
RETRY = RetryPolicy(
    max_attempts=3,
    initial_delay=8,
    multiplier=2,
    jitter=0,
    no_retry_on=(LookupError, PoisonMessage),
)


def decode(body: Any) -> Any:
    return body["steps"]


@app.task("walk", queue="walks", exchange="paths", retry=RETRY, decode=decode)
def walk(job: Job) -> None:
    """Does the steps of its message, one after the other."""
    for step in job.body:
        match step:
            case "step":
                with job.transaction() as conn:
                    conn.execute("step", [job.attempt])
            case "end":
                with job.complete() as conn:
                    conn.execute("end")
                    publish(conn, "paths", "walked", {"by": job.worker_name})
            case "fail":
                raise ValueError("stumbled")
            case "give up":
                raise KeyError("lost")
            case seconds:
                job.sleep(seconds)


@app.task("hop", queue="hops", retry=RETRY, manual_claim=True)
def hop(job: Job) -> None:
    row = job.execute_claiming("start %(job_id)s")
    job.sleep(row["seconds"])
    job.execute_completing("finish %(job_id)s")


def test_a_completed_job_has_its_statements_and_messages() -> None:
    report = run(walk, {"steps": ["step", 5, "end"]})
    assert report.outcome is Outcome.COMPLETED
    assert [statement for statement, _ in report.statements] == ["step", "end"]
    assert [(sent.task, sent.routing_key, sent.body) for sent in report.sent] == [
        (None, "walked", {"by": "stub"})
    ]
    assert report.slept == 5


def test_done_without_a_completion_of_its_own() -> None:
    assert run(walk, {"steps": []}).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(("verdict", "outcome"), [
    ("gone", Outcome.SKIPPED), ("scheduled", Outcome.SKIPPED), ("leased", Outcome.SKIPPED),
    ("preempted", Outcome.PREEMPTED),
])  # fmt: skip
def test_what_is_not_claimed_has_no_effect(verdict: str, outcome: Outcome) -> None:
    report = run(walk, {"steps": ["step", "end"]}, verdict=verdict)
    assert report.outcome is outcome
    assert not report.statements and not report.sent


@pytest.mark.parametrize(("attempt", "wait"), [(1, 8), (2, 16)])
def test_a_failure_is_tried_again(attempt: int, wait: int) -> None:
    report = run(walk, {"steps": ["step", "fail"]}, attempt=attempt)
    assert report.outcome is Outcome.RESCHEDULED
    assert report.retry_in == timedelta(seconds=wait)
    assert report.statements == [("step", [attempt])]


def test_the_last_failure_is_dead_lettered() -> None:
    report = run(walk, {"steps": ["fail"]}, attempt=3)
    assert (report.outcome, report.reason) == (Outcome.DEAD_LETTERED, "ValueError: stumbled")


def test_an_error_without_retry_is_dead_lettered_at_once() -> None:
    report = run(walk, {"steps": ["give up"]})
    assert (report.outcome, report.reason) == (Outcome.DEAD_LETTERED, "KeyError: 'lost'")


def test_more_attempts_than_allowed_mean_that_workers_died() -> None:
    report = run(walk, {"steps": ["end"]}, attempt=4)
    assert report.outcome is Outcome.DEAD_LETTERED
    assert report.reason is not None and "3 attempts" in report.reason
    assert not report.statements


@pytest.mark.parametrize("body", [b"{", {"strides": 3}, [], 7, None])
def test_an_unreadable_message_is_dead_lettered_with_the_reason(body: Any) -> None:
    report = run(walk, body)
    assert report.outcome is Outcome.DEAD_LETTERED
    assert report.reason


def test_a_failure_after_the_end_is_no_failure_of_the_job() -> None:
    report = run(walk, {"steps": ["end", "fail"]})
    assert report.outcome is Outcome.COMPLETED
    assert len(report.sent) == 1


def test_a_job_that_goes_on_after_its_end_changes_nothing_more() -> None:
    report = run(walk, {"steps": ["end", "step"]})
    assert report.outcome is Outcome.COMPLETED
    assert [statement for statement, _ in report.statements] == ["end"]


def test_a_claim_lost_while_asleep_ends_the_sleep() -> None:
    report = run(walk, {"steps": [100, "end"]}, lose_lease_at=30)
    assert (report.outcome, report.slept) == (Outcome.LEASE_LOST, 30)
    assert not report.sent


def test_a_stop_while_asleep_hands_back() -> None:
    report = run(walk, {"steps": ["step", 100, "end"]}, stop_at=2)
    assert (report.outcome, report.slept) == (Outcome.RELEASED, 2)
    assert not report.sent


@pytest.mark.parametrize("steps", [["step", "end"], ["fail"]])
def test_a_refused_token_loses_the_claim_whatever_the_job_did(steps: list[str]) -> None:
    # The first statement is the claim; the second is refused
    report = run(walk, {"steps": steps}, failures={2: TokenRefused("taken over")})
    assert report.outcome is Outcome.LEASE_LOST
    assert not report.statements


def test_a_lost_database_begins_the_job_again() -> None:
    report = run(walk, {"steps": ["step", "end"]}, failures={3: DatabaseUnavailable("gone")})
    assert report.outcome is Outcome.COMPLETED
    assert [statement for statement, _ in report.statements] == ["step", "end"]


def test_a_failed_transaction_leaves_nothing() -> None:
    report = run(walk, {"steps": ["end"]}, failures={3: ValueError("constraint")})
    assert report.outcome is Outcome.RESCHEDULED
    assert not report.sent and not report.statements


def test_statements_that_guard_themselves() -> None:
    answers = {"start": [{"seconds": 4}], "finish": [{"ok": True}]}
    report = run(hop, {}, answers=answers)
    assert (report.outcome, report.slept) == (Outcome.COMPLETED, 4)
    assert [text for text, _ in report.statements] == ["start %(job_id)s", "finish %(job_id)s"]
    assert run(hop, {}, answers=answers, attempt=4).outcome is Outcome.DEAD_LETTERED
    assert run(hop, {}, answers=answers, verdict="leased").outcome is Outcome.SKIPPED


def test_middleware_sees_job_and_failure() -> None:
    seen: list[Any] = []

    def witness(job: Job, run: Any) -> Any:
        try:
            return run()
        except Exception as error:
            seen.append((job.task.name, job.attempt, str(error)))
            raise

    run(walk, {"steps": ["fail"]}, attempt=2, middleware=[witness])
    assert seen == [("walk", 2, "stumbled")]


def test_a_recorder_stands_in_for_the_senders_connection() -> None:
    conn: Any = FakeConnection()
    with conn.transaction():
        identity = walk.send(conn, {"steps": []}, priority=4, countdown=1.5, headers={"trace": "t"})
    with pytest.raises(ZeroDivisionError), conn.transaction():
        walk.send(conn, {})
        raise ZeroDivisionError
    (sent,) = conn.sent
    assert (sent.id, sent.task, sent.queue, sent.routing_key) == (
        identity,
        "walk",
        "walks",
        "walks",
    )
    assert (sent.priority, sent.countdown, sent.headers) == (
        4,
        timedelta(seconds=1.5),
        {"trace": "t"},
    )
    assert conn.commits == 1


def test_the_error_tree_has_one_root_and_a_sentence_each() -> None:
    def leaves(kind: type[Exception]) -> list[type[Exception]]:
        return [each for sub in kind.__subclasses__() for each in (sub, *leaves(sub))]

    assert len(leaves(FrameworkError)) >= 8
    for kind in leaves(FrameworkError):
        assert kind.__doc__ and kind.__doc__.strip().endswith(".")
