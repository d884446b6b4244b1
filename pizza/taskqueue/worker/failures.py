"""Failed attempts: the job is retried later, or its message is dead-lettered."""

import logging
from collections import Counter
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.dead_letters.callback import DeadMessage, call_on_dead
from pizza.taskqueue.dead_letters.headers import error_headers, traceback_text
from pizza.taskqueue.errors import TimeLimitExceeded
from pizza.taskqueue.job import STALE_CLAIM, Job
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/messages")

_MAX_EXECUTOR_FAILURES = 3


def record_failure(conn: BoundedConnection, job: Job, error: Exception) -> timedelta | None:
    """Record the failure of a claimed job's attempt, in one transaction of `conn`.

    Returns the delay until the next attempt; None if the message was dead-lettered. Raises a
    psycopg.DatabaseError with the SQLSTATE STALE_CLAIM if the claim was lost.
    """
    values: dict[str, Any] = {"job_id": job.id, "job_token": job.token}
    if job.task.retry.should_retry(job.attempt, error):
        delay = job.task.retry.delay(job.attempt)
        conn.execute(_SQL.retry, values | {"delay": delay})
        return delay
    headers = error_headers(job.queue, reason_of(error), task=job.task.name, attempt=job.attempt)
    stack = traceback_text(error) if error.__traceback__ is not None else None
    values |= {"exchange": DEAD_LETTER_EXCHANGE, "headers": Jsonb(headers), "traceback": stack}
    with conn.transaction():
        conn.execute(_SQL.dead_letter, values)
        message = DeadMessage.from_delivery(job.delivery, error, job.attempt)
        call_on_dead(conn, job.task, message)
    return None


def fail_hung_job(conn: BoundedConnection, job: Job) -> None:
    """Fail the attempt of a job that its own thread cannot end. Called by the session thread."""
    error = TimeLimitExceeded(
        f"the job was still running after its time limit of {job.task.time_limit:g} s"
    )
    try:
        record_failure(conn, job, error)
    except psycopg.DatabaseError as stale:
        if stale.sqlstate != STALE_CLAIM:
            raise
    text = f"A job does not end; its attempt has failed: {reason_of(error)}"
    log_action(log.error, "job_hung", text, job_details(job))


class FailureCounter:
    """Counts how often the executor itself failed on the same delivery."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[str, str | None, int]] = Counter()

    def is_exhausted(self, delivery: Delivery) -> bool:
        """Count one more failure; returns whether to dead-letter the delivery."""
        key = (delivery.queue, delivery.message_id, hash(delivery.body))
        if len(self._failures) > 1000:
            self._failures.clear()
        self._failures[key] += 1
        if self._failures[key] < _MAX_EXECUTOR_FAILURES:
            return False
        del self._failures[key]
        return True


def reason_of(error: Exception) -> str:
    """The reason of a failure, for logs and dead letters: at most 1,000 characters."""
    return f"{type(error).__name__}: {error}"[:1000]


def job_details(job: Job) -> dict[str, Any]:
    """What identifies a job in a log line."""
    return {
        "task": job.task.name,
        "message_id": str(job.id),
        "attempt": job.attempt,
        "queue": job.queue,
    }
