"""The way of one delivery: decode → claim → run → complete, ending in an Outcome."""

from __future__ import annotations

import base64
import logging
import time
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue import trace
from pizza.taskqueue.app import App
from pizza.taskqueue.dead_letters.callback import DeadMessage, call_on_dead
from pizza.taskqueue.dead_letters.headers import (
    OutgoingDeadLetter,
    error_headers,
    kept_headers,
    traceback_text,
)
from pizza.taskqueue.errors import (
    JobInterrupted,
    LeaseLost,
    NotClaimed,
    PoisonMessage,
    Released,
    TimeLimitExceeded,
)
from pizza.taskqueue.job import STALE_CLAIM, Job
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.middleware import wrap
from pizza.taskqueue.task import Task
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE
from pizza.taskqueue.worker.context import WorkerContext
from pizza.taskqueue.worker.inbox import accept
from pizza.taskqueue.worker.outcome import Outcome, Result
from pizza.taskqueue.worker.versioning import VersionGuard

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/messages")

# A delivery that comes back while its holder's session still stands is most often the first
# sign of a crash: RabbitMQ has noticed it, and PostgreSQL will in a moment. Other messages wait
# meanwhile, so it is dropped soon: the keeper publishes the message when the session has ended.
_HELD_AGAIN_S = (0.02, 0.05, 0.1)
# A job that has lost its connection so often within its own block may be what ends it.
_MAX_LOST_IN_BLOCK = 5


class Executor:
    """Runs deliveries for one worker, in its job thread."""

    job_class = Job

    def __init__(self, app: App, context: WorkerContext) -> None:
        self._app = app
        self._context = context
        self._version_guard = VersionGuard(app)

    def execute(self, delivery: Delivery, *, skip_priority_check: bool = False) -> Result:
        """Work on a delivery to its end; waits while the database is away.

        skip_priority_check: take this message even if a better one waits elsewhere.
        """
        with trace.following(delivery.headers.get(trace.HEADER)):
            return self._execute(delivery, skip_priority_check)

    def _execute(self, delivery: Delivery, skip_priority_check: bool) -> Result:
        lost_in_block = 0
        while True:
            try:
                return self._attempt(
                    delivery, skip_priority_check, lost_in_block >= _MAX_LOST_IN_BLOCK
                )
            except DatabaseUnavailable as error:
                self._context.db.invalidate(error)
                job = self._context.current_job
                lost_in_block += job is not None and job.lost_in_block
            except Released:
                return Result(Outcome.RELEASED)
            finally:
                self._context.current_claim = self._context.deadline = self._context.current_job = (
                    None
                )

    def _attempt(self, delivery: Delivery, skip_priority_check: bool, last: bool) -> Result:
        """last: whether the loss of the connection within the job counts as its failure."""
        try:
            external_task = self._app.external_queues.get(delivery.queue)
            if external_task is not None and delivery.is_external:
                return self._accept_external(delivery, external_task)
            if self._version_guard.is_unknown(delivery):
                deferred = self._version_guard.defer(self._context.db.connection(), delivery)
                return Result(Outcome.DEFERRED if deferred else Outcome.SKIPPED)
            task = self._task(delivery)
            job = self.job_class(
                task, delivery, self._context, skip_priority_check=skip_priority_check
            )
            job.body = self._decode(task, delivery)
        except PoisonMessage as poison:
            return self.dead_letter_unclaimed(delivery, poison)
        try:
            self._run(task, job, delivery)
            return Result(Outcome.RESCHEDULED if job.snoozed else Outcome.COMPLETED, job.next_queue)
        except JobInterrupted as interruption:
            return self._interrupted(job, interruption)
        except Exception as error:
            if error is job.outage and not (last and job.lost_in_block):
                raise
            return self._failed(task, job, delivery, error)

    def _accept_external(self, delivery: Delivery, task: Task) -> Result:
        with translate_errors():
            new = accept(self._context.db.connection(), delivery, task)
        log.info(
            "Message from outside taken over" if new else "Duplicate from outside dropped",
            extra={"action": "message_adopted" if new else "message_skipped",
                   "details": {"queue": delivery.queue, "task": task.name}},
        )  # fmt: skip
        return Result(Outcome.ACCEPTED)

    # -- decode ---------------------------------------------------------------------

    def _task(self, delivery: Delivery) -> Task:
        name = delivery.task_name()
        try:
            return self._app.tasks[name]
        except KeyError:
            raise PoisonMessage(f"there is no task named {name!r}") from None

    def _decode(self, task: Task, delivery: Delivery) -> Any:
        body = delivery.json()
        if task.decode is None:
            return body
        try:
            return task.decode(body)
        except PoisonMessage:
            raise
        except Exception as error:  # it has only looked at the body, so that is what is wrong
            raise PoisonMessage(
                f"the body does not fit task {task.name}: {type(error).__name__}: {error}"[:300]
            ) from error

    # -- claim, run, complete -------------------------------------------------------

    def _run(self, task: Task, job: Job, delivery: Delivery) -> None:
        waits = list(_HELD_AGAIN_S) if delivery.redelivered else []
        self._context.current_job = job
        if task.time_limit is not None:
            self._context.deadline = time.monotonic() + task.time_limit
        while True:
            try:
                if not task.manual_claim:
                    job.claim()
                wrap(self._app.middleware, job, lambda: task.function(job))()
                break
            except NotClaimed as no:
                if no.verdict != "held" or not waits:
                    raise
                job.raise_if_stopped()
                time.sleep(waits.pop(0))
        if not job.completed:
            with job.complete():
                pass

    def _interrupted(self, job: Job, interruption: JobInterrupted) -> Result:
        if isinstance(interruption, NotClaimed):
            if interruption.verdict == "better":
                return Result(Outcome.PREEMPTED, interruption.better_queue)
            if interruption.verdict == "locked":
                # The delivery goes, and the keeper publishes another once the row is free.
                with translate_errors():
                    self._context.db.connection().execute(_SQL.redeliver, {"id": job.id})
                self._log(job, logging.INFO, "job_deferred", "Its row is locked; delivered later")
                return Result(Outcome.SKIPPED)
            self._log(job, logging.INFO, "job_skipped", f"Duplicate dropped: {interruption}")
            return Result(Outcome.SKIPPED)
        if isinstance(interruption, LeaseLost):
            if self._context.cancelled_id == job.id:
                self._log(job, logging.INFO, "job_withdrawn", "Withdrawn while it ran")
                return Result(Outcome.CANCELLED)
            self._log(job, logging.WARNING, "claim_lost", f"Token refused: {interruption}")
            return Result(Outcome.LEASE_LOST)
        if job.token is not None:
            with translate_errors():
                self._context.db.connection().execute(_SQL.release, self._mark(job))
        self._log(job, logging.WARNING, "job_handed_back", f"Handed back: {interruption}")
        return Result(Outcome.RELEASED)

    # -- failure --------------------------------------------------------------------

    def _failed(self, task: Task, job: Job, delivery: Delivery, error: Exception) -> Result:
        reason = f"{type(error).__name__}: {error}"[:1000]
        if job.completed:
            self._log(
                job, logging.ERROR, "job_failed_late", f"Failed after its end: {reason}", error
            )
            return Result(Outcome.COMPLETED, job.next_queue)
        self._context.deadline = None
        try:
            if job.token is None:
                job.claim(final=True)
            conn = self._context.db.connection()
            with translate_errors():
                if task.retry.should_retry(job.attempt, error):
                    delay = task.retry.delay(job.attempt)
                    conn.execute(_SQL.retry, self._mark(job) | {"delay": delay})
                    self._log(
                        job, logging.WARNING, "job_retried",
                        f"Attempt {job.attempt} failed, next in {delay.total_seconds():.1f} s: "
                        f"{reason}", error,
                    )  # fmt: skip
                    return Result(Outcome.RESCHEDULED)
                headers = error_headers(job.queue, reason, task=task.name, attempt=job.attempt)
                dead = self._mark(job)
                dead |= {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb(headers)}
                dead |= {"traceback": traceback_text(error)}
                with conn.transaction():
                    conn.execute(_SQL.dead_letter, dead)
                    message = DeadMessage.from_delivery(delivery, error, job.attempt)
                    call_on_dead(conn, task, message)
        except JobInterrupted as interruption:
            return self._interrupted(job, interruption)
        except psycopg.DatabaseError as refusal:
            if refusal.sqlstate != STALE_CLAIM:
                raise
            return self._interrupted(job, LeaseLost(str(refusal).splitlines()[0]))
        text = f"Dead after attempt {job.attempt}: {reason}"
        self._log(job, logging.ERROR, "job_dead", text, error)
        return Result(Outcome.DEAD_LETTERED)

    def dead_letter_unclaimed(self, delivery: Delivery, poison: PoisonMessage) -> Result:
        """A message nobody can work on: to the dead letters as it is, with the reason."""
        try:
            identity = delivery.id()
        except PoisonMessage:
            identity = None
        headers = error_headers(delivery.queue, str(poison), **kept_headers(delivery))
        conn = self._context.db.connection()
        with translate_errors(), conn.transaction():
            found = conn.execute(
                _SQL.dead_letter_unclaimed,
                {
                    "id": identity,
                    "exchange": DEAD_LETTER_EXCHANGE,
                    "headers": Jsonb(headers),
                    "holder": self._context.worker_id,
                },
            ).rowcount
            if not found and identity and isinstance(delivery.headers.get("position"), int):
                return Result(Outcome.SKIPPED)  # one of ours, and dealt with before
            if not found:
                OutgoingDeadLetter(delivery.queue, delivery.body, headers).write_to_outbox(conn)
            task = self._app.tasks.get(str(delivery.headers.get("task")))
            call_on_dead(conn, task, DeadMessage.from_delivery(delivery, poison))
        log.error(
            "Poison message: %s", poison,
            extra={
                "action": "message_dead",
                "details": {"queue": delivery.queue, "message_id": delivery.message_id,
                            "body": base64.b64encode(delivery.body[:200]).decode()},
            },
        )  # fmt: skip
        return Result(Outcome.DEAD_LETTERED)

    @staticmethod
    def _mark(job: Job) -> dict[str, Any]:
        return {"job_id": job.id, "job_token": job.token}

    @staticmethod
    def _log(job: Job, level: int, action: str, text: str, error: Exception | None = None) -> None:
        log.log(
            level, "%s", text, exc_info=error,
            extra={
                "action": action,
                "duration_ms": job.duration_ms,
                "details": {"task": job.task.name, "message_id": str(job.id),
                            "attempt": job.attempt, "queue": job.queue},
            },
        )  # fmt: skip


def fail_hung(conn: BoundedConnection, job: Job) -> None:
    """Fail the attempt of a job that its own thread cannot end, from another thread."""
    error = TimeLimitExceeded(
        f"the job was still running after its time limit of {job.task.time_limit:g} s"
    )
    reason = f"TimeLimitExceeded: {error}"
    values: dict[str, Any] = {"job_id": job.id, "job_token": job.token}
    try:
        if job.task.retry.should_retry(job.attempt, error):
            conn.execute(_SQL.retry, values | {"delay": job.task.retry.delay(job.attempt)})
        else:
            headers = error_headers(job.queue, reason, task=job.task.name, attempt=job.attempt)
            values |= {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb(headers)}
            with conn.transaction():
                conn.execute(_SQL.dead_letter, values | {"traceback": None})
                call_on_dead(
                    conn, job.task, DeadMessage.from_delivery(job.delivery, error, job.attempt)
                )
    except psycopg.DatabaseError as refusal:
        if refusal.sqlstate != STALE_CLAIM:
            raise
    log.error(
        "A job does not end; its attempt has failed: %s", reason,
        extra={"action": "job_hung",
               "details": {"task": job.task.name, "message_id": str(job.id),
                           "attempt": job.attempt, "queue": job.queue}},
    )  # fmt: skip
