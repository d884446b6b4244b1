"""Unit tests of tasks without servers: the real executor with a fake connection.

    result = run(send_invoice, {"id": 7}, answers={"select total": [(12,)]})
    assert result.outcome is Outcome.COMPLETED
    assert result.sent[0].task == "send_mail"

A `FakeConnection` is enough for code that only sends.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.job import Job
from pizza.taskqueue.message import Delivery, encode
from pizza.taskqueue.middleware import Middleware
from pizza.taskqueue.task import Task
from pizza.taskqueue.testing.fake_connection import FakeConnection, QueryResults, Sent, TokenRefused
from pizza.taskqueue.worker.context import WorkerContext
from pizza.taskqueue.worker.executor import Executor, Outcome

__all__ = ["FakeConnection", "QueryResults", "RunResult", "Sent", "StubJob", "TokenRefused", "run"]

_SQL = Queries("taskqueue/messages")
_CLAIMED = {
    "verdict": "claimed", "token": 1, "better_queue": None, "reservation": None, "next_queue": None,
}  # fmt: skip

FRAMEWORK_QUERIES = {
    _SQL.claim, _SQL.fence, _SQL.complete, _SQL.retry, _SQL.snooze, _SQL.release,
    _SQL.dead_letter, _SQL.dead_letter_unclaimed, _SQL.dead_letter_raw, _SQL.publish_raw,
    _SQL.message_exists, _SQL.defer, _SQL.redeliver,
}  # fmt: skip


@dataclass(slots=True)
class _StubContext(WorkerContext):
    """A context with a clock that only `job.sleep` advances.

    stop_at, lose_lease_at: when the worker has to stop, and when it loses the claim, on that clock.
    """

    slept: float = 0.0
    stop_at: float = math.inf
    lose_lease_at: float = math.inf


class StubJob(Job):
    """A job whose `sleep` advances a clock and returns at once."""

    def sleep(self, seconds: float) -> None:
        """Advance the clock, and raise what ends the job meanwhile."""
        context = cast(_StubContext, self._context)
        slept, target = context.slept, context.slept + seconds
        moments = sorted(at for at in (context.stop_at, context.lose_lease_at) if at > slept)
        for moment in (*(at for at in moments if at <= target), target):
            context.slept = moment
            if moment >= context.stop_at:
                context.release_requested.set()
            if moment >= context.lose_lease_at:
                context.lost_claim = self.id, cast(int, self.token)
            self.raise_if_stopped()


class _StubExecutor(Executor):
    job_class = StubJob


@dataclass(frozen=True)
class RunResult:
    """How a job ended. retry_in: the delay until it is due again. reason: why it is dead."""

    outcome: Outcome
    connection: FakeConnection
    slept: float
    retry_in: timedelta | None
    reason: str | None

    @property
    def sent(self) -> list[Sent]:
        """The messages sent in committed transactions."""
        return self.connection.sent

    @property
    def statements(self) -> list[tuple[str, Any]]:
        """The committed statements, without those of the framework."""
        return [each for each in self.connection.statements if each[0] not in FRAMEWORK_QUERIES]


def run(
    task: Task,
    body: Any,
    *,
    attempt: int = 1,
    verdict: str = "claimed",
    answers: QueryResults | None = None,
    failures: Mapping[int, Exception] | None = None,
    stop_at: float | None = None,
    lose_lease_at: float | None = None,
    middleware: Iterable[Middleware] = (),
    headers: Mapping[str, Any] | None = None,
    priority: int = 0,
    reply_to: str | None = None,
    correlation_id: str | None = None,
) -> RunResult:
    """Run a task on a message as a worker would. body: JSON data, or bytes, used as they are.

    attempt: the number of the attempt. verdict: the verdict of the claim.
    stop_at, lose_lease_at: seconds on the clock that `job.sleep` advances, at which the worker has
    to stop or another worker takes over. answers, failures: see FakeConnection; statements of the
    framework count too. reply_to, correlation_id: as the sender gave them.
    """
    claimed = _CLAIMED | {"verdict": verdict, "attempt": attempt}
    framework: dict[str, Any] = {
        _SQL.claim: [claimed],
        _SQL.complete: [(None, None)],
        _SQL.dead_letter_unclaimed: [(1,)],
        _SQL.message_exists: [(1,)],
        _SQL.defer: [(timedelta(seconds=1),)],
    }
    connection = FakeConnection({**(answers or {}), **framework}, failures)
    connection.claimed = claimed
    # After one of `failures` PostgreSQL is available again.
    db = SimpleNamespace(connection=lambda: connection, invalidate=lambda _error: None)
    context = _StubContext(
        worker_name="stub",
        worker_id=1,
        lease=timedelta(seconds=15),
        queues=(task.queue,),
        db=cast(ReconnectingConnection, db),
        stop_at=math.inf if stop_at is None else stop_at,
        lose_lease_at=math.inf if lose_lease_at is None else lose_lease_at,
    )
    app = App("stub", middleware=middleware)
    app.tasks[task.name] = task
    delivery = Delivery(
        queue=task.queue,
        delivery_tag=1,
        redelivered=False,
        message_id=str(uuid4()),
        priority=priority,
        headers={**(headers or {}), "task": task.name},
        body=body if isinstance(body, bytes) else encode(body),
        reply_to=reply_to,
        correlation_id=correlation_id,
    )
    result = _StubExecutor(app, context).execute(delivery)
    retry_in, reason = None, None
    for query, parameters in connection.statements:
        if query in (_SQL.retry, _SQL.snooze):
            retry_in = parameters["delay"]
        if query in (_SQL.dead_letter, _SQL.dead_letter_unclaimed):
            reason = parameters["headers"].obj["reason"]
    return RunResult(result.outcome, connection, context.slept, retry_in, reason)
