"""Delivers webhooks: the task for one delivery. A webhook has one delivery at a time.

A webhook that lets somebody wait holds up one of the threads, for 15 seconds; then it is left
alone for a while, longer each time, and what is due for it is put off unattempted.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.domain import webhooks as domain
from pizza.domain.webhook_urls import InvalidUrl, parse_url
from pizza.taskqueue import Blueprint, Job, RetryPolicy
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.message import sanitize_text
from pizza.topology import WEBHOOKS_QUEUE
from pizza.webhooks import storage
from pizza.webhooks.client import Answer, CallFailed, post
from pizza.webhooks.events import TASK
from pizza.webhooks.storage import Attempt, Due
from pizza.webhooks.webhooks import Policy

log = logging.getLogger(__name__)

GONE = 410
_LIMITED = (429, 502, 503, 504)


_SCHEDULE = RetryPolicy(max_attempts=8, initial_delay=5, multiplier=6, max_delay=36_000, jitter=0.2)


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient deliveries are; everything in seconds but `schedule`.

    schedule: attempts, and the waits between them: about a day; timeout: for one attempt;
    most_asked: of a Retry-After; rest, longest_rest: how long a webhook is left alone that gave no
    answer in time, doubling each time in a row; patience: fails for so long, and is disabled;
    near, longest_turn: bounds of how long a delivery is put off while another one is being made.
    """

    schedule: RetryPolicy = _SCHEDULE
    timeout: float = 15.0
    most_asked: float = 86_400.0
    rest: float = 30.0
    longest_rest: float = 900.0
    patience: timedelta = timedelta(days=3)
    near: float = 0.25
    longest_turn: float = 60.0


# What nobody has foreseen (a bug, a database that refuses) is tried as often again, then it is a
# dead letter; the attempts of a delivery are counted in its row.
_UNFORESEEN = RetryPolicy(max_attempts=24, initial_delay=5, multiplier=2, max_delay=600)

Post = Callable[..., Answer]


def read_delivery(body: Any) -> UUID:
    """The id of the delivery that a message is about. Raises PoisonMessage."""
    try:
        return UUID(body["delivery"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PoisonMessage("the message names no delivery") from None


def deliveries(policy: Policy, pace: Pace | None = None) -> Blueprint:
    """The task that delivers, to where `policy` lets it."""
    blueprint = Blueprint("webhooks")
    delivering = _Delivering(policy, pace or Pace())
    blueprint.task(TASK, queue=WEBHOOKS_QUEUE, retry=_UNFORESEEN, decode=read_delivery)(
        delivering.run
    )
    return blueprint


class _Delivering:
    def __init__(self, policy: Policy, pace: Pace) -> None:
        self._policy = policy
        self._pace = pace

    def run(self, job: Job) -> None:
        """Make one delivery, or put it off."""
        with job.transaction() as conn:
            due = storage.begin(conn, job.body, job.id)
        if due is None:
            return  # removed, or made by another task
        try:
            self._deliver(job, due)
        finally:
            if due.alone:
                _let_others(conn, due.id)

    def _deliver(self, job: Job, due: Due) -> None:
        if due.disabled:
            with job.complete() as conn:
                storage.give_up(conn, job.body, job.id, "the webhook is disabled")
            return
        if due.rests > 0 or not due.alone:
            with job.snooze(self._put_off(due)):
                pass
            return
        attempt = Attempt(due.id, job.body, job.id, 0.0)
        began = time.monotonic()
        retry_after, gone = None, False
        try:
            answer = self._post(due, job.raise_if_stopped)
        except (CallFailed, InvalidUrl) as failure:
            late = isinstance(failure, CallFailed) and failure.late
            attempt = replace(attempt, problem=sanitize_text(str(failure)), late=late)
        else:
            retry_after, gone = answer.retry_after, answer.status == GONE
            problem = None if 200 <= answer.status < 300 else _problem(answer)
            attempt = replace(attempt, answer=answer.status, problem=problem)
        attempt = replace(attempt, duration=round(time.monotonic() - began, 3))
        if attempt.problem is None:
            self._delivered(job, due, attempt)
        else:
            self._not_delivered(job, due, attempt, retry_after, gone)

    def _put_off(self, due: Due) -> float:
        """After its rest, or after the one before it, and not all at the same moment."""
        turn = min(self._pace.longest_turn, max(self._pace.near, due.pace * due.near))
        return due.rests + turn * random.uniform(0.5, 1.5)  # noqa: S311

    def _post(self, due: Due, check: Callable[[], None]) -> Answer:
        id, now = str(due.event_id), int(time.time())
        signing = [due.secret, *([due.former_secret] if due.former_secret else [])]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "pizza-webhooks",
            "webhook-id": id,
            "webhook-timestamp": str(now),
            "webhook-signature": domain.signatures(signing, id, now, due.payload),
        }
        return post(
            parse_url(due.url, self._policy.schemes),
            due.payload.encode(),
            headers,
            private=self._policy.private,
            seconds=self._pace.timeout,
            check=check,
        )

    def _delivered(self, job: Job, due: Due, attempt: Attempt) -> None:
        with job.complete() as conn:
            storage.note_delivered(conn, attempt)
        _log(logging.INFO, "webhook_delivered", f"Delivered {due.type}", due, attempt)

    def _not_delivered(
        self, job: Job, due: Due, attempt: Attempt, retry_after: float | None, gone: bool
    ) -> None:
        number, schedule = due.attempts + 1, self._pace.schedule
        asked = min(retry_after or 0.0, self._pace.most_asked)
        if gone or number >= schedule.max_attempts:
            with job.complete() as conn:
                self._note(conn, due, attempt, None, asked)
                if gone:
                    _disable(conn, due, f"answered {GONE} Gone")
            _log(logging.WARNING, "webhook_failed", f"{due.type} is given up", due, attempt)
            return
        wait = max(schedule.delay(number), timedelta(seconds=asked))
        with job.snooze(wait) as conn:
            self._note(conn, due, attempt, wait, asked)
        text = f"{due.type} was not delivered, next in {wait.total_seconds():.0f} s"
        _log(logging.WARNING, "webhook_retried", text, due, attempt)

    def _note(
        self,
        conn: BoundedConnection,
        due: Due,
        attempt: Attempt,
        wait: timedelta | None,
        asked: float,
    ) -> None:
        rest = asked if attempt.answer in _LIMITED else 0.0
        failing = storage.note_not_delivered(
            conn,
            attempt,
            wait=wait,
            rest=timedelta(seconds=rest),
            late_rest=timedelta(seconds=self._pace.rest),
            longest=timedelta(seconds=self._pace.longest_rest),
        )
        if failing > self._pace.patience:
            _disable(conn, due, f"has failed for {failing.days} days")


def _let_others(conn: BoundedConnection, webhook: int) -> None:
    # The lock is the session's; where that is gone, so is the lock.
    with suppress(DatabaseUnavailable, psycopg.Error), translate_errors():
        if not conn.closed:
            storage.end(conn, webhook)


def _disable(conn: BoundedConnection, due: Due, reason: str) -> None:
    if storage.disable(conn, due.id, reason):
        log.warning(
            "Webhook disabled: %s", reason,
            extra={"action": "webhook_disabled", "details": {"webhook": due.id}},
        )  # fmt: skip


def _problem(answer: Answer) -> str:
    said = f": {answer.text[:200]}" if answer.text else ""
    return sanitize_text(f"answered {answer.status}{said}")


def _log(level: int, action: str, text: str, due: Due, attempt: Attempt) -> None:
    details: dict[str, Any] = {
        "webhook": due.id, "delivery": str(attempt.id), "attempt": due.attempts + 1,
    }  # fmt: skip
    if attempt.answer is not None:
        details["answer"] = attempt.answer
    elif attempt.problem is not None:
        details["problem"] = attempt.problem
    duration = round(attempt.duration * 1000)
    log.log(level, text, extra={"action": action, "duration_ms": duration, "details": details})
