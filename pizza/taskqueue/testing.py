"""Unit tests of tasks without servers: the real executor on a connection that only records.

    result = run(send_invoice, {"id": 7}, answers={"select total": [(12,)]})
    assert result.outcome is Outcome.COMPLETED
    assert result.sent[0].task == "send_mail"

`Recorder` alone stands in for the connection of code that sends.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg

from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.job import STALE_CLAIM, Job
from pizza.taskqueue.message import Delivery, encode
from pizza.taskqueue.middleware import Middleware
from pizza.taskqueue.task import Task
from pizza.taskqueue.worker.context import WorkerContext
from pizza.taskqueue.worker.executor import Executor
from pizza.taskqueue.worker.outcome import Outcome

_SQL = Queries("taskqueue/messages")
_CLAIMED = {
    "verdict": "claimed", "token": 1, "better_queue": None, "promise": None, "next_queue": None,
}  # fmt: skip

_FRAMEWORKS = {
    _SQL.claim, _SQL.fence, _SQL.complete, _SQL.retry, _SQL.snooze, _SQL.release,
    _SQL.dead_letter, _SQL.dead_letter_unclaimed, _SQL.dead_letter_raw, _SQL.publish_raw,
    _SQL.message_exists, _SQL.defer, _SQL.redeliver,
}  # fmt: skip

Answers = Mapping[str, Sequence[Any] | Callable[[Any], Sequence[Any]]]


class TokenRefused(psycopg.DatabaseError):
    """What a statement raises for a job whose message somebody else has taken over."""

    sqlstate = STALE_CLAIM


@dataclass(frozen=True)
class Sent:
    """What `task.send` (or `publish`: then `task` is None) has written."""

    id: UUID
    task: str | None
    queue: str | None
    exchange: str
    routing_key: str
    priority: int
    body: Any
    headers: dict[str, Any] | None
    countdown: timedelta | None
    needs: list[str] | None = None


class _Rows:
    """The answer to a statement."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = list(rows)
        self.rowcount = len(self._rows)

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows


class Recorder:
    """A stand-in for a connection: records, answers as told, and rolls back.

    answers: rows by a piece of the statement they answer, or a function of its parameters.
    failures: errors by the number (from 1) of the statement that meets them, once each.
    statements, sent: what was committed; statements are (text, parameters).
    """

    def __init__(
        self, answers: Answers | None = None, failures: Mapping[int, Exception] | None = None
    ) -> None:
        self.statements: list[tuple[str, Any]] = []
        self.sent: list[Sent] = []
        self.commits = 0
        self.closed = False
        self.claimed: dict[str, Any] = {}
        self.broken = False
        self.statement_timeout: float | None = None
        self.deadline: float | None = None
        self.abort_event: threading.Event | None = None
        self._last_error: BaseException | None = None
        self._answers = dict(answers or {})
        self._failures = dict(failures or {})
        self._count = 0
        self._depth = 0

    def execute(self, query: str, parameters: Any = None) -> _Rows:
        """Record a statement, and answer it."""
        self._count += 1
        if self._count in self._failures:
            self._last_error = self._failures.pop(self._count)
            raise self._last_error
        rows = self._answer(query, parameters)
        if query in (_SQL.send, _SQL.send_once, _SQL.publish):
            self.sent.append(_sent(parameters))
        else:
            self.statements.append((query, parameters))
        if not self._depth:
            self.commits += 1
        return _Rows(rows)

    def _answer(self, query: str, parameters: Any) -> Sequence[Any]:
        for piece, rows in self._answers.items():
            if piece in query:
                found = rows(parameters) if callable(rows) else rows
                # A job's guarded statement begins with what the claim answers.
                return [{**self.claimed, **r} if isinstance(r, dict) else r for r in found]
        return []

    def raised(self, error: BaseException) -> bool:
        """Whether an error is one of `failures` that has just been met."""
        return error is self._last_error

    @contextmanager
    def cursor(self, **_options: Any) -> Generator[Recorder, None, None]:
        """Itself; answers have to have the shape that the caller's row factory makes."""
        yield self

    def fetch_first(self, query: str, parameters: Any = None, _row: Any = None) -> Any:
        """Record a statement, and give its first row."""
        return self.execute(query, parameters).fetchone()

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Forget what the block has recorded when it fails."""
        before = copy(self.statements), copy(self.sent)
        self._depth += 1
        try:
            yield
        except BaseException:
            self.statements, self.sent = before
            raise
        else:
            self.commits += self._depth == 1
        finally:
            self._depth -= 1

    def close(self) -> None:
        """Nothing is open."""


def _sent(parameters: Mapping[str, Any]) -> Sent:
    headers = parameters["headers"]
    return Sent(
        id=parameters["id"],
        task=parameters.get("task"),
        queue=parameters.get("queue"),
        exchange=parameters["exchange"],
        routing_key=parameters["routing_key"],
        priority=parameters["priority"],
        body=json.loads(parameters["body"]),
        headers=headers.obj if headers is not None else None,
        countdown=parameters.get("countdown"),
        needs=parameters.get("needs"),
    )


class _Line:
    """Hands out the recorder, whatever has happened to it before."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def connection(self) -> Recorder:
        return self._recorder

    def invalidate(self, error: Exception | None = None) -> None:
        """A failure that was asked for; the next attempt finds the server back."""


@dataclass(slots=True)
class _StubContext(WorkerContext):
    """With a clock that only `job.sleep` moves, and what is to happen on it."""

    slept: float = 0.0
    events: dict[threading.Event, float] = field(default_factory=dict)

    def pass_time(self, until: float) -> None:
        for event, at in self.events.items():
            if at <= until:
                event.set()
        self.slept = until


class StubJob(Job):
    """A job whose sleep takes no time."""

    def sleep(self, seconds: float) -> None:
        """Move the clock on, up to what ends the job on the way."""
        context = cast(_StubContext, self._context)
        target = context.slept + seconds
        for moment in sorted(at for at in context.events.values() if context.slept < at <= target):
            context.pass_time(moment)
            self.raise_if_stopped()
        context.pass_time(target)
        self.raise_if_stopped()


class _StubExecutor(Executor):
    job_class = StubJob


@dataclass(frozen=True)
class Report:
    """How a job ended. `retry_in` and `reason` say more of one that failed."""

    outcome: Outcome
    recorder: Recorder
    slept: float
    retry_in: timedelta | None
    reason: str | None

    @property
    def sent(self) -> list[Sent]:
        """What committed transactions have sent."""
        return self.recorder.sent

    @property
    def statements(self) -> list[tuple[str, Any]]:
        """The task's own committed statements."""
        return [each for each in self.recorder.statements if each[0] not in _FRAMEWORKS]


def run(
    task: Task,
    body: Any,
    *,
    attempt: int = 1,
    verdict: str = "claimed",
    answers: Answers | None = None,
    failures: Mapping[int, Exception] | None = None,
    stop_at: float | None = None,
    lost_at: float | None = None,
    middleware: Iterable[Middleware] = (),
    headers: Mapping[str, Any] | None = None,
    priority: int = 0,
    reply_to: str | None = None,
    correlation_id: str | None = None,
) -> Report:
    """Run a task on a message with this body (bytes: as they are), as a worker would.

    attempt: which one this is; verdict: what the claim says; stop_at, lost_at: when, on the
    clock that `job.sleep` moves, the worker has to stop or the claim is taken over.
    answers, failures: as for Recorder; the framework's own statements count too.
    reply_to, correlation_id: what the sender gave.
    """

    claimed = _CLAIMED | {"verdict": verdict, "attempt": attempt}
    framework: dict[str, Any] = {
        _SQL.claim: [claimed],
        _SQL.complete: [(None, None)],
        _SQL.dead_letter_unclaimed: [(1,)],
        _SQL.message_exists: [(1,)],
        _SQL.defer: [(timedelta(seconds=1),)],
    }
    recorder = Recorder({**(answers or {}), **framework}, failures)
    recorder.claimed = claimed
    context = _StubContext(
        worker_name="stub", worker_id=1, lease=timedelta(seconds=15), queues=(task.queue,),
        db=cast(ReconnectingConnection, _Line(recorder)),
    )  # fmt: skip
    for event, at in ((context.release_requested, stop_at), (context.lease_lost, lost_at)):
        if at is not None:
            context.events[event] = at
    app = App("stub", middleware=middleware)
    app.tasks[task.name] = task
    delivery = Delivery(
        queue=task.queue, delivery_tag=1, redelivered=False, message_id=str(uuid4()),
        priority=priority, headers={**(headers or {}), "task": task.name},
        body=body if isinstance(body, bytes) else encode(body), reply_to=reply_to,
        correlation_id=correlation_id,
    )  # fmt: skip
    result = _StubExecutor(app, context).execute(delivery)
    retry_in, reason = None, None
    for query, parameters in recorder.statements:
        if query in (_SQL.retry, _SQL.snooze):
            retry_in = parameters["delay"]
        if query in (_SQL.dead_letter, _SQL.dead_letter_unclaimed):
            reason = parameters["headers"].obj["reason"]
    return Report(result.outcome, recorder, context.slept, retry_in, reason)
