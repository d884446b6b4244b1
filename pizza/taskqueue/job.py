"""Jobs: one claimed message that a task processes, and the transactions it may use.

Each transaction of a job checks its fencing token. A worker that was frozen, disconnected or slow,
and whose message another worker has claimed since, can no longer change anything.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pizza.database.application import ApplicationError, application_block
from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.deprecated import renamed
from pizza.taskqueue.errors import (
    ConfigurationError,
    JobInterrupted,
    LeaseLost,
    MaxAttemptsExceeded,
    NotClaimed,
    Released,
    TimeLimitExceeded,
)
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.task import Task
from pizza.taskqueue.worker.context import Claim, WorkerContext

_SQL = Queries("taskqueue/messages")
_CLAIM, _FENCE, _COMPLETE = _SQL.claim, _SQL.fence, _SQL.complete

STALE_CLAIM = "PZ001"  # the SQLSTATE for a stale fencing token
_SWITCH_S = 0.01


class Job:
    """The argument of a task's function.

    id, task, priority, queue, headers, schema_version: of the message. body: what the task's
    `decode` returned. attempt: from 1. worker_name: the worker that runs it. duration_ms: set by
    the timing middleware. reply_to, correlation_id: the queue for the reply and the id that the
    reply has to repeat; None if the sender gave none.
    """

    def __init__(
        self,
        task: Task,
        delivery: Delivery,
        context: WorkerContext,
        *,
        skip_priority_check: bool = False,
    ) -> None:
        self.task = task
        self.delivery = delivery
        self.id = delivery.id()
        self.priority, self.queue = delivery.priority, delivery.queue
        self.headers, self.schema_version = delivery.headers, delivery.schema_version
        self.reply_to, self.correlation_id = delivery.reply_to, delivery.correlation_id
        self.worker_name = context.worker_name
        self.attempt = 0
        self.duration_ms: int | None = None
        self.body: Any = None
        self.token: int | None = None
        self.deadline: float | None = None  # by time.monotonic(): when the time limit is exceeded
        # outage: the last one of the job's connection. lost_in_block: whether it was in a block.
        self.completed = self.snoozed = self.lost_in_block = False
        self.outage: DatabaseUnavailable | None = None
        self.next_queue: str | None = None
        self._context = context
        self._skip_priority_check = skip_priority_check

    @property
    def held_claim(self) -> Claim | None:
        """The claim, if the job has one. Any thread."""
        token = self.token
        return (self.id, token) if token is not None else None

    @contextmanager
    def transaction(self) -> Generator[BoundedConnection, None, None]:
        """A transaction, committed at the end of the block unless the claim was lost.

        The block may take until the task's time limit. Every error in it fails the attempt, except
        an outage of the job's connection. Raises LeaseLost, NotClaimed, DatabaseUnavailable and
        TimeLimitExceeded. A task must not catch the first three; after DatabaseUnavailable the job
        restarts from its beginning once PostgreSQL is available.
        """
        with self._fenced() as conn:
            yield conn

    @contextmanager
    def complete(self) -> Generator[BoundedConnection, None, None]:
        """The last transaction of the job: commits its effect and the end of its message.

        Raises what `transaction` raises.
        """
        next_message: list[Any] = []

        def end(conn: BoundedConnection) -> None:
            next_message.extend(conn.fetch_first(_COMPLETE, self._fence_params()))

        with self._fenced(end) as conn:
            yield conn
        self._set_completed(*next_message)

    @contextmanager
    def snooze(self, delay: float | timedelta) -> Generator[BoundedConnection, None, None]:
        """The last transaction of this run: its effect and the next due time, in one commit.

        delay: seconds until the message is due again. This is not a failure: `attempt` stays the
        same, however often a job snoozes. Raises what `transaction` raises.
        """
        delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)

        def end(conn: BoundedConnection) -> None:
            conn.execute(_SQL.snooze, {"job_id": self.id, "job_token": self.token, "delay": delay})

        with self._fenced(end) as conn:
            yield conn
        self.completed = self.snoozed = True

    completion = renamed("Job.completion", complete)
    again = renamed("Job.again", snooze)

    def _set_completed(self, next_queue: str | None, reservation: int | None) -> None:
        self.completed = True
        self.next_queue, self._context.reservation = next_queue, reservation

    @contextmanager
    def _fenced(
        self, end: Callable[[BoundedConnection], None] | None = None
    ) -> Generator[BoundedConnection, None, None]:
        """A transaction that claims the message or checks the token first, and runs `end` last.

        Errors of our own statements are classified by SQLSTATE. Errors in the block are the
        application's, except an outage of this connection.
        """
        if self.completed:
            raise ConfigurationError(f"task {self.task.name} went on after its completion")
        conn, abort = self._context.db.connection(), self._context.database_silent
        claims = self.token is None
        try:
            with translate_errors(), conn.transaction():
                if claims:
                    self._claim(conn)
                else:
                    conn.execute(_FENCE, self._fence_params())
                with application_block(conn, deadline=self.deadline, abort_event=abort):
                    yield conn
                if end is not None:
                    end(conn)
        except BaseException as error:
            if claims:
                self.token = None  # rolled back with the rest
            outage = isinstance(error, DatabaseUnavailable)
            if isinstance(error, ApplicationError):
                outage = error.outage
                error = self._unwrap(error)
            if isinstance(error, psycopg.DatabaseError) and error.sqlstate == STALE_CLAIM:
                raise LeaseLost(str(error).splitlines()[0]) from error
            if outage and isinstance(error, DatabaseUnavailable):
                self._invalidate_connection(error)
            raise error from error.__cause__

    def _unwrap(self, raised: ApplicationError) -> BaseException:
        error = raised.error
        self.lost_in_block |= raised.lost
        if raised.late and isinstance(error, Exception) and not isinstance(error, JobInterrupted):
            return self._time_limit_exceeded()
        return error

    def _invalidate_connection(self, error: DatabaseUnavailable) -> None:
        self.outage = error
        self._context.db.invalidate(error)

    def _time_limit_exceeded(self) -> TimeLimitExceeded:
        limit = self.task.time_limit
        return TimeLimitExceeded(f"the job took longer than its time limit of {limit:g} s")

    def execute_claiming(self, query: str, **parameters: Any) -> dict[str, Any]:
        """Run one statement with its own claim or fence, in its own transaction; returns its row.

        The statement passes `%(job_id)s` and the other job_* parameters to `job_claim` (its
        row then starts with that function's columns) or to `job_fence`. Waits and retries
        while PostgreSQL is unavailable. Raises what `transaction` raises, except
        DatabaseUnavailable.
        """
        row = self._execute(query, parameters)
        if row is None:
            raise LeaseLost(f"message {self.id} was completed by somebody else")
        if self.token is None:
            self._apply_claim(row)
        return row

    def execute_completing(self, query: str, **parameters: Any) -> dict[str, Any] | None:
        """Run one statement that completes the job through `job_complete`; returns its row.

        The row has that function's columns `next_queue` and `reservation`. None: the connection was
        lost during the commit, and this statement or another worker has completed the message.
        Waits and raises as `execute_claiming` does.
        """
        row = self._execute(query, parameters)
        self._set_completed(*((row["next_queue"], row["reservation"]) if row else (None, None)))
        return row

    def _execute(self, query: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        if "%(job_id)s" not in query:
            raise ConfigurationError("a job's statement must guard itself with %(job_id)s")
        uncertain = False
        while True:
            conn = self._context.db.connection()
            try:
                with translate_errors():
                    values = self._fence_params() | parameters
                    row: dict[str, Any] | None = conn.fetch_first(query, values, dict_row)
                    return row
            except DatabaseUnavailable as error:
                self._invalidate_connection(error)
                uncertain = True
            except psycopg.DatabaseError as error:
                if error.sqlstate != STALE_CLAIM:
                    raise
                query, values = _SQL.message_exists, {"id": self.id}
                if uncertain and conn.execute(query, values).fetchone() is None:
                    return None
                raise LeaseLost(str(error).splitlines()[0]) from error

    def claim(self, *, final: bool = False) -> None:
        """Claim the message in its own transaction. Raises NotClaimed, DatabaseUnavailable.

        final: to record a failure. Without it, raises MaxAttemptsExceeded if no attempt is left.
        """
        conn = self._context.db.connection()
        try:
            with translate_errors():
                self._claim(conn, final=final)
        except DatabaseUnavailable as error:
            self._invalidate_connection(error)
            raise

    def _claim(self, conn: BoundedConnection, *, final: bool = False) -> None:
        self._apply_claim(conn.fetch_first(_CLAIM, self._fence_params(), dict_row), final=final)

    def _apply_claim(self, row: dict[str, Any], *, final: bool = False) -> None:
        self._context.reservation = row["reservation"]
        if row["verdict"] != "claimed":
            raise NotClaimed(row["verdict"], row["better_queue"])
        self.token, self.attempt = int(row["token"]), int(row["attempt"])
        self._context.on_claimed()
        if self.attempt > self.task.retry.max_attempts and not final:
            # A failed last attempt would have been dead-lettered: its worker was lost instead.
            raise MaxAttemptsExceeded(f"{self.attempt - 1} attempts failed, or their workers died")

    def _fence_params(self) -> dict[str, Any]:
        return {
            "job_id": self.id,
            "job_token": self.token,
            "job_worker_id": self._context.worker_id,
            "job_queues": self._context.queue_array,
            "job_skip_priority_check": self._skip_priority_check,
            "job_reservation": self._context.reservation,
            "job_priority": self.priority if self.delivery.delivery_tag > 0 else None,
        }

    def sleep(self, seconds: float) -> None:
        """Wait without a transaction. Raises LeaseLost, Released and TimeLimitExceeded at once."""
        context, until = self._context, time.monotonic() + seconds
        if context.reservation is not None and seconds > _SWITCH_S:
            # This message was reserved for another worker. After the wait, that worker has had
            # time to claim the message that is reserved for this worker.
            context.sleep_interrupt.wait(_SWITCH_S)
            with suppress(DatabaseUnavailable), translate_errors():
                reservation = {"reservation": context.reservation}
                context.db.connection().execute(_SQL.release_reservation, reservation)
            context.reservation = None
        wake_at = until if self.deadline is None else min(until, self.deadline)
        while True:
            context.sleep_interrupt.clear()
            self.raise_if_stopped()
            if time.monotonic() >= until:
                return
            context.sleep_interrupt.wait(max(0.0, wake_at - time.monotonic()))

    def raise_if_stopped(self) -> None:
        """Raise LeaseLost, Released or TimeLimitExceeded if the job has to end. For loops."""
        if self._context.lost_claim == (self.id, self.token):
            raise LeaseLost(f"message {self.id} was taken over by another worker")
        if self._context.release_requested.is_set():
            raise Released(f"message {self.id} is released: the worker stops")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise self._time_limit_exceeded()
