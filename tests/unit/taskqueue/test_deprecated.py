"""Names of 0.2 work in 0.3, with a warning."""

from __future__ import annotations

import importlib
import sys

import pytest

from pizza.taskqueue import App, RetryPolicy, task
from pizza.taskqueue.job import Job
from pizza.taskqueue.testing import FakeConnection, run
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.executor import Outcome


def test_the_old_arguments_of_a_retry_policy_work() -> None:
    with pytest.warns(DeprecationWarning):
        policy = RetryPolicy(attempts=3, base=2, factor=3, cap=9, never=(KeyError,))  # type: ignore[call-arg]
    assert policy == RetryPolicy(3, 2, 3, 9, no_retry_on=(KeyError,))


def test_the_old_words_for_tags_work() -> None:
    conn, task = FakeConnection(), App("old").task("one", queue="q")(lambda job: None)
    with pytest.warns(DeprecationWarning, match="required_tags"):
        task.send(conn, {}, needs=["french"])  # type: ignore[arg-type, call-arg]
    assert conn.sent[0].required_tags == ["french"]
    with pytest.warns(DeprecationWarning, match="tags"):
        options = WorkerOptions("clerk", ["q"], skills=frozenset({"french"}))  # type: ignore[call-arg]
    assert options.tags == {"french"}


def test_the_old_methods_of_a_job_and_arguments_of_a_task_work() -> None:
    app = App("old")

    def invoice(job: Job) -> None:
        with job.completion() as conn:
            conn.execute("insert")

    def later(job: Job) -> None:
        with job.again(60):
            pass

    with pytest.warns(DeprecationWarning):
        first = app.task("invoice", queue="q", format=2, claims_itself=True)(invoice)  # type: ignore[call-arg]
    assert (first.schema_version, first.manual_claim) == (2, True)
    with pytest.warns(DeprecationWarning, match=r"Job\.completion is now Job\.complete"):
        assert run(first, {}).outcome is Outcome.COMPLETED
    second = app.task("later", queue="q")(later)
    with pytest.warns(DeprecationWarning, match=r"Job\.again is now Job\.snooze"):
        assert run(second, {}).outcome is Outcome.RESCHEDULED


def test_the_old_names_for_queues_and_messages_work() -> None:
    app = App("old")
    one = app.task("one", queue="q")(lambda job: None)
    with pytest.warns(DeprecationWarning, match="external_queue"):
        app.adopt("q", one)
    assert app.external_queues == {"q": one}
    conn = FakeConnection({"message_cancel": [(True,)], "message_set_priority": [(True,)]})
    with pytest.warns(DeprecationWarning, match="cancel"):
        assert task.withdraw(conn, one)  # type: ignore[arg-type]
    with pytest.warns(DeprecationWarning, match="set_priority"):
        assert task.reprioritise(conn, one, 3)  # type: ignore[arg-type]


def test_the_framework_can_be_imported_by_its_old_name() -> None:
    sys.modules.pop("pizza.framework", None)
    with pytest.warns(DeprecationWarning, match="pizza.taskqueue"):
        former = importlib.import_module("pizza.framework")
    assert former.App is App
    assert former.RetryPolicy is RetryPolicy
