"""A job: one claimed message being worked on, and the only ways it may have an effect.

Every transaction of a job checks its fencing token, so a worker that was frozen, cut off
or slow, and whose message somebody else has taken over, can change nothing any more.
"""

from __future__ import annotations

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
from pizza.taskqueue.worker.context import WorkerContext

_SQL = Queries("taskqueue/messages")
_CLAIM, _FENCE, _COMPLETE, _EXISTS = _SQL.claim, _SQL.fence, _SQL.complete, _SQL.message_exists
_RELEASE_RESERVATION, _SNOOZE = _SQL.release_reservation, _SQL.snooze

STALE_CLAIM = "PZ001"  # the SQLSTATE for a stale fencing token
_SWITCH_S = 0.01


class Job:
    """What a task's function gets as its argument.

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
        self.id = delivery.id()
        self.priority = delivery.priority
        self.queue = delivery.queue
        self.headers = delivery.headers
        self.schema_version = delivery.schema_version
        self.reply_to = delivery.reply_to
        self.correlation_id = delivery.correlation_id
        self.worker_name = context.worker_name
        self.attempt = 0
        self.duration_ms: int | None = None
        self.body: Any = None
        self.token: int | None = None
        self.completed = self.snoozed = False
        # The final loss of this job's own connection, and whether one was lost within a block.
        self.outage: DatabaseUnavailable | None = None
        self.lost_in_block = False
        self.next_queue: str | None = None
        self._context = context
        self._skip_priority_check = skip_priority_check
        self.delivery = delivery
        self._is_delivered = delivery.delivery_tag > 0

    # -- transactions ---------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Generator[BoundedConnection, None, None]:
        """A transaction of the job: commits at the end of the block, if the job still may.

        The block may take as long as the task's time limit. An error of its statements, and any
        other error in it, fails the attempt; only the loss of this very connection does not.
        Raises LeaseLost, NotClaimed (let both pass), DatabaseUnavailable (let it pass: the job runs
        again from its beginning once the server is back), TimeLimitExceeded.
        """
        with self._fenced() as conn:
            yield conn

    @contextmanager
    def complete(self) -> Generator[BoundedConnection, None, None]:
        """The job's final transaction: its effect and the end of its message, in one commit.

        Raises as `transaction` does.
        """
        ended: list[Any] = []

        def end(conn: BoundedConnection) -> None:
            row = conn.fetch_first(_COMPLETE, self._fence_params())
            assert row is not None
            ended.extend(row)

        with self._fenced(end) as conn:
            yield conn
        self._ended(*ended)

    @contextmanager
    def snooze(self, delay: float | timedelta) -> Generator[BoundedConnection, None, None]:
        """The run's final transaction: its effect, and the message due again, in one commit.

        delay: seconds from now, for a task that knows better than its policy when to run again. It
        is no failure, and may be asked for any number of times: `attempt` stays. Raises as
        `transaction` does.
        """
        pause = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)

        def set_due(conn: BoundedConnection) -> None:
            values = {"job_id": self.id, "job_token": self.token, "delay": pause}
            conn.execute(_SNOOZE, values)

        with self._fenced(set_due) as conn:
            yield conn
        self.completed = self.snoozed = True

    def _ended(self, next_queue: str | None, promise: int | None) -> None:
        self.completed = True
        self.next_queue, self._context.reservation = next_queue, promise

    @contextmanager
    def _fenced(
        self, end: Callable[[BoundedConnection], None] | None = None
    ) -> Generator[BoundedConnection, None, None]:
        """A transaction that claims the message or checks the token, and `end`s the run.

        What goes wrong in our own statements is judged by its SQLSTATE; what goes wrong in the
        application's block is the application's, unless this connection is lost.
        """
        if self.completed:
            raise ConfigurationError(f"task {self.task.name} went on after its completion")
        conn = self._context.db.connection()
        fresh = self.token is None
        try:
            with translate_errors(), conn.transaction():
                if fresh:
                    self._claim(conn)
                else:
                    conn.execute(_FENCE, self._fence_params())
                with application_block(
                    conn, deadline=self._context.deadline, abort_event=self._context.database_silent
                ):
                    yield conn
                if end is not None:
                    end(conn)
        except BaseException as error:
            if fresh:
                self.token = self._context.current_claim = None  # rolled back with the rest
            outage = isinstance(error, DatabaseUnavailable)
            if isinstance(error, ApplicationError):
                outage = error.outage
                error = self._judged(error)
            if isinstance(error, psycopg.DatabaseError) and error.sqlstate == STALE_CLAIM:
                raise LeaseLost(str(error).splitlines()[0]) from error
            if outage and isinstance(error, DatabaseUnavailable):
                self._lost(error)
            raise error from error.__cause__

    def _judged(self, raised: ApplicationError) -> BaseException:
        error = raised.error
        self.lost_in_block |= raised.lost
        if raised.late and isinstance(error, Exception) and not isinstance(error, JobInterrupted):
            return TimeLimitExceeded(self._time_limit_text())
        return error

    def _lost(self, error: DatabaseUnavailable) -> None:
        self.outage = error
        self._context.db.invalidate(error)

    def _is_over_time(self) -> bool:
        deadline = self._context.deadline
        return deadline is not None and time.monotonic() >= deadline

    def _time_limit_text(self) -> str:
        return f"the job took longer than its time limit of {self.task.time_limit:g} s"

    # -- single statements ----------------------------------------------------------

    def execute_claiming(self, query: str, **parameters: Any) -> dict[str, Any]:
        """Run one statement that guards itself, as a transaction of its own.

        The statement takes `%(job_id)s` and the other job_* parameters and passes them to
        `message_claim` (its row then begins with that function's columns) or
        `message_fence`. While the server is away this waits, and tries again.
        Raises as `transaction` does, without DatabaseUnavailable.
        """
        row = self._statement(query, parameters)
        if row is None:
            raise LeaseLost(f"message {self.id} was completed by somebody else")
        if self.token is None:
            self._apply_claim(row)
        return row

    def execute_completing(self, query: str, **parameters: Any) -> dict[str, Any] | None:
        """Run one statement that completes the job (through `message_complete`).

        Its row has that function's columns `next_queue` and `promise`. None: the connection
        broke at the commit and the message is gone since; it was completed, by this very
        statement or by whoever took it over.
        """
        row = self._statement(query, parameters)
        self._ended(*((row["next_queue"], row["promise"]) if row else (None, None)))
        return row

    def _statement(self, query: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        if "%(job_id)s" not in query:
            raise ConfigurationError("a job's statement must guard itself with %(job_id)s")
        uncertain = False
        while True:
            conn = self._context.db.connection()
            try:
                with translate_errors():
                    row: dict[str, Any] | None = conn.fetch_first(
                        query, self._fence_params() | parameters, dict_row
                    )
                    return row
            except DatabaseUnavailable as error:
                self._lost(error)
                uncertain = True
            except psycopg.DatabaseError as error:
                if error.sqlstate != STALE_CLAIM:
                    raise
                if uncertain and not self._exists():
                    return None
                raise LeaseLost(str(error).splitlines()[0]) from error

    def _exists(self) -> bool:
        """Whether the message is still there: neither ended nor withdrawn."""
        return (
            self._context.db.connection().execute(_EXISTS, {"id": self.id}).fetchone() is not None
        )

    # -- claiming -------------------------------------------------------------------

    def claim(self, *, final: bool = False) -> None:
        """Claim the message in a transaction of its own. Raises NotClaimed.

        final: only to settle a failed job, however many attempts there were.
        """
        conn = self._context.db.connection()
        try:
            with translate_errors():
                self._claim(conn, final=final)
        except DatabaseUnavailable as error:
            self._lost(error)
            raise

    def _claim(self, conn: BoundedConnection, *, final: bool = False) -> None:
        row = conn.fetch_first(_CLAIM, self._fence_params(), dict_row)
        assert row is not None
        self._apply_claim(row, final=final)

    def _apply_claim(self, row: dict[str, Any], *, final: bool = False) -> None:
        self._context.reservation = row["promise"]
        if row["verdict"] != "claimed":
            raise NotClaimed(row["verdict"], row["better_queue"])
        self.token, self.attempt = int(row["token"]), int(row["attempt"])
        self._context.current_claim = (self.id, self.token)
        self._context.on_claimed()
        if self.attempt > self.task.retry.max_attempts and not final:
            # A failure would have ended it before: its workers died instead.
            raise MaxAttemptsExceeded(f"{self.attempt - 1} attempts failed, or their workers died")

    def _fence_params(self) -> dict[str, Any]:
        return {
            "job_id": self.id,
            "job_token": self.token,
            "job_holder": self._context.worker_id,
            "job_lease": None,
            "job_queues": self._context.queue_array,
            "job_forced": self._skip_priority_check,
            "job_promise": self._context.reservation,
            "job_priority": self.priority if self._is_delivered else None,
        }

    # -- waiting --------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Wait, holding nothing.

        Raises LeaseLost or Released as soon as either is known, and TimeLimitExceeded.
        """
        until = time.monotonic() + seconds
        if self._context.reservation is not None and seconds > _SWITCH_S:
            # Our delivery was another's, and he has had the time to take ours.
            self._context.sleep_interrupt.wait(_SWITCH_S)
            self._release_reservation()
        while True:
            self.raise_if_stopped()
            left = until - time.monotonic()
            if left <= 0:
                return
            if self._context.deadline is not None:
                left = max(0.0, min(left, self._context.deadline - time.monotonic()))
            self._context.sleep_interrupt.wait(left)

    def _release_reservation(self) -> None:
        with suppress(DatabaseUnavailable), translate_errors():
            promise = {"promise": self._context.reservation}
            self._context.db.connection().execute(_RELEASE_RESERVATION, promise)
        self._context.reservation = None

    def raise_if_stopped(self) -> None:
        """For loops of one's own: raise LeaseLost, Released or TimeLimitExceeded."""
        if self._context.lease_lost.is_set():
            raise LeaseLost(f"message {self.id} was taken over by another worker")
        if self._context.release_requested.is_set():
            raise Released(f"message {self.id} is handed back: the worker stops")
        if self._is_over_time():
            raise TimeLimitExceeded(self._time_limit_text())
