"""Processes one delivery: decode, claim, run, complete. Each ends in an Outcome."""

import base64
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pizza.database.connection import translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue import trace
from pizza.taskqueue.app import App
from pizza.taskqueue.dead_letters.callback import DeadMessage, call_on_dead
from pizza.taskqueue.dead_letters.headers import OutgoingDeadLetter, error_headers, kept_headers
from pizza.taskqueue.errors import JobInterrupted, LeaseLost, NotClaimed, PoisonMessage, Released
from pizza.taskqueue.job import STALE_CLAIM, Job
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.middleware import wrap
from pizza.taskqueue.task import Task
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE
from pizza.taskqueue.worker.context import WorkerContext
from pizza.taskqueue.worker.failures import job_details, reason_of, record_failure
from pizza.taskqueue.worker.inbox import accept
from pizza.taskqueue.worker.versioning import VersionGuard

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/messages")

# A redelivery of a message that is claimed is usually the first sign of a crash: RabbitMQ detects
# a lost worker before PostgreSQL does. Other messages wait meanwhile, so after a few attempts the
# delivery is dropped; the keeper publishes the message again once the worker's session has ended.
_CLAIMED_RETRY_S = (0.02, 0.05, 0.1)
# A job whose connection is lost this often within its own block may be the cause.
_MAX_LOST_IN_BLOCK = 5


class Outcome(Enum):
    """How the processing of a delivery ended."""

    COMPLETED = "completed"  # the job has completed
    SKIPPED = "skipped"  # no effect: a duplicate, not due, or its row is locked
    PREEMPTED = "preempted"  # a better message waits in another queue; requeued
    RESCHEDULED = "rescheduled"  # failed or snoozed; due again later
    DEAD_LETTERED = "dead-lettered"  # failed for good
    ACCEPTED = "accepted"  # an external message, which has a row now
    DEFERRED = "deferred"  # its schema version is unknown here; due again for a newer worker
    CANCELLED = "cancelled"  # cancelled by its sender while it ran
    LEASE_LOST = "lease lost"  # taken over by another worker
    RELEASED = "released"  # the worker stops; requeued


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome, and the queue in which the best message waits, if the database named one."""

    outcome: Outcome
    next_queue: str | None = None

    @property
    def requeue(self) -> bool:
        """Whether to requeue the delivery instead of acknowledging it."""
        return self.outcome in (Outcome.PREEMPTED, Outcome.RELEASED)


class Executor:
    """Processes deliveries for one worker, in its job thread."""

    job_class = Job

    def __init__(self, app: App, context: WorkerContext) -> None:
        self._app = app
        self._context = context
        self._version_guard = VersionGuard(app)

    def execute(self, delivery: Delivery, *, skip_priority_check: bool = False) -> Result:
        """Process a delivery to its end. Waits while PostgreSQL is unavailable.

        skip_priority_check: claim the message even if a better one waits in another queue.
        """
        lost_in_block = 0
        with trace.following(delivery.headers.get(trace.HEADER)):
            while True:
                try:
                    may_be_cause = lost_in_block >= _MAX_LOST_IN_BLOCK
                    return self._attempt(delivery, skip_priority_check, may_be_cause)
                except DatabaseUnavailable as error:
                    self._context.db.invalidate(error)
                    job = self._context.current_job
                    lost_in_block += job is not None and job.lost_in_block
                except Released:
                    return Result(Outcome.RELEASED)
                finally:
                    self._context.current_job = None

    def _attempt(self, delivery: Delivery, skip_priority_check: bool, may_be_cause: bool) -> Result:
        """may_be_cause: whether the loss of the connection within the job is the job's failure."""
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
            if error is job.outage and not (may_be_cause and job.lost_in_block):
                raise
            return self._failed(job, error)

    def _accept_external(self, delivery: Delivery, task: Task) -> Result:
        with translate_errors():
            new = accept(self._context.db.connection(), delivery, task)
        log_action(
            log.info,
            "message_accepted" if new else "message_skipped",
            "Message from outside taken over" if new else "Duplicate from outside dropped",
            {"queue": delivery.queue, "task": task.name},
        )
        return Result(Outcome.ACCEPTED)

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
        except Exception as error:  # decode has no other input than the body
            raise PoisonMessage(
                f"the body does not fit task {task.name}: {type(error).__name__}: {error}"[:300]
            ) from error

    def _run(self, task: Task, job: Job, delivery: Delivery) -> None:
        waits = list(_CLAIMED_RETRY_S) if delivery.redelivered else []
        if task.time_limit is not None:
            job.deadline = time.monotonic() + task.time_limit
        self._context.current_job = job
        while True:
            try:
                if not task.manual_claim:
                    job.claim()
                wrap(self._app.middleware, job, lambda: task.function(job))()
                break
            except NotClaimed as refusal:
                if refusal.verdict != "leased" or not waits:
                    raise
                job.raise_if_stopped()
                time.sleep(waits.pop(0))
        if not job.completed:
            with job.complete():
                pass

    def _interrupted(self, job: Job, interruption: JobInterrupted) -> Result:
        if isinstance(interruption, NotClaimed):
            if interruption.verdict == "preempted":
                return Result(Outcome.PREEMPTED, interruption.better_queue)
            if interruption.verdict == "locked":
                # The delivery is dropped; the keeper publishes the message once its row is free.
                with translate_errors():
                    self._context.db.connection().execute(_SQL.redeliver, {"id": job.id})
                _log(log.info, job, "job_deferred", "Its row is locked; delivered later")
                return Result(Outcome.SKIPPED)
            _log(log.info, job, "job_skipped", f"Duplicate dropped: {interruption}")
            return Result(Outcome.SKIPPED)
        if isinstance(interruption, LeaseLost):
            if self._context.cancelled_id == job.id:
                _log(log.info, job, "job_cancelled", "Cancelled while it ran")
                return Result(Outcome.CANCELLED)
            _log(log.warning, job, "lease_lost", f"Token refused: {interruption}")
            return Result(Outcome.LEASE_LOST)
        if job.token is not None:
            claim = {"job_id": job.id, "job_token": job.token}
            with translate_errors():
                self._context.db.connection().execute(_SQL.release, claim)
        _log(log.warning, job, "job_released", f"Released: {interruption}")
        return Result(Outcome.RELEASED)

    def _failed(self, job: Job, error: Exception) -> Result:
        reason = reason_of(error)
        if job.completed:
            text = f"Failed after its end: {reason}"
            _log(log.error, job, "job_failed_late", text, error)
            return Result(Outcome.COMPLETED, job.next_queue)
        job.deadline = None
        try:
            if job.token is None:
                job.claim(final=True)
            conn = self._context.db.connection()
            with translate_errors():
                delay = record_failure(conn, job, error)
        except JobInterrupted as interruption:
            return self._interrupted(job, interruption)
        except psycopg.DatabaseError as stale:
            if stale.sqlstate != STALE_CLAIM:
                raise
            return self._interrupted(job, LeaseLost(str(stale).splitlines()[0]))
        if delay is not None:
            text = f"Attempt {job.attempt} failed, next in {delay.total_seconds():.1f} s: {reason}"
            _log(log.warning, job, "job_retried", text, error)
            return Result(Outcome.RESCHEDULED)
        text = f"Dead after attempt {job.attempt}: {reason}"
        _log(log.error, job, "job_dead", text, error)
        return Result(Outcome.DEAD_LETTERED)

    def dead_letter_unclaimed(self, delivery: Delivery, poison: PoisonMessage) -> Result:
        """Dead-letter a delivery that cannot be processed, as it is, with the reason."""
        id = delivery.valid_id
        headers = error_headers(delivery.queue, str(poison), **kept_headers(delivery))
        values = {
            "id": id,
            "exchange": DEAD_LETTER_EXCHANGE,
            "headers": Jsonb(headers),
            "worker_id": self._context.worker_id,
        }
        conn = self._context.db.connection()
        with translate_errors(), conn.transaction():
            has_row = conn.execute(_SQL.dead_letter_unclaimed, values).rowcount
            if not has_row and id and isinstance(delivery.headers.get("position"), int):
                return Result(Outcome.SKIPPED)  # a message of ours that was processed before
            if not has_row:
                OutgoingDeadLetter(delivery.queue, delivery.body, headers).write_to_outbox(conn)
            task = self._app.tasks.get(str(delivery.headers.get("task")))
            call_on_dead(conn, task, DeadMessage.from_delivery(delivery, poison))
        details = {
            "queue": delivery.queue,
            "message_id": delivery.message_id,
            "body": base64.b64encode(delivery.body[:200]).decode(),
        }
        log_action(log.error, "message_dead", f"Poison message: {poison}", details)
        return Result(Outcome.DEAD_LETTERED)


def _log(
    write: Callable[..., None], job: Job, action: str, text: str, error: Exception | None = None
) -> None:
    log_action(write, action, text, job_details(job), error=error, duration_ms=job.duration_ms)
