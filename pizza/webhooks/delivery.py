"""The task that makes one delivery. A webhook gets one delivery at a time.

A webhook that does not respond blocks one thread for up to the timeout. After that it gets a
pause that grows with each timeout; its deliveries are snoozed without an attempt.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.domain import webhooks as domain
from pizza.domain.webhooks import InvalidUrl, parse_url
from pizza.taskqueue import Blueprint, Job, RetryPolicy
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import sanitize_text
from pizza.topology import WEBHOOKS_QUEUE
from pizza.webhooks import storage
from pizza.webhooks.client import DeliveryError, TargetResponse, send_post
from pizza.webhooks.events import TASK
from pizza.webhooks.storage import DeliveryAttempt, PendingDelivery
from pizza.webhooks.webhooks import UrlPolicy

log = logging.getLogger(__name__)

GONE = 410
_LIMITED = (429, 502, 503, 504)


_SCHEDULE = RetryPolicy(max_attempts=8, initial_delay=5, multiplier=6, max_delay=36_000, jitter=0.2)


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """Timeouts and retries of deliveries, in seconds unless typed otherwise.

    schedule: attempts and the waits between them, about a day in all; timeout: of one attempt;
    max_retry_after: limit of a Retry-After; backoff, max_backoff: pause of a webhook after a
    timeout, doubled for consecutive ones; disable_after: a webhook that fails for longer is
    disabled; min_snooze, max_snooze: of a delivery while another one is being made.
    """

    schedule: RetryPolicy = _SCHEDULE
    timeout: float = 15.0
    max_retry_after: float = 86_400.0
    backoff: float = 30.0
    max_backoff: float = 900.0
    disable_after: timedelta = timedelta(days=3)
    min_snooze: float = 0.25
    max_snooze: float = 60.0


# For unexpected errors (a bug, an error of the database); the attempts of a delivery are counted in
# its row.
_UNEXPECTED = RetryPolicy(max_attempts=24, initial_delay=5, multiplier=2, max_delay=600)


def parse_delivery_id(body: Any) -> UUID:
    """The id of the delivery in a message. Raises PoisonMessage."""
    try:
        return UUID(body["delivery"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PoisonMessage("the message names no delivery") from None


def delivery_tasks(urls: UrlPolicy, policy: DeliveryPolicy | None = None) -> Blueprint:
    """A blueprint with the task that delivers. urls: the URLs that webhooks may have."""
    blueprint = Blueprint("webhooks")
    deliverer = _Deliverer(urls, policy or DeliveryPolicy())
    blueprint.task(TASK, queue=WEBHOOKS_QUEUE, retry=_UNEXPECTED, decode=parse_delivery_id)(
        deliverer.run
    )
    return blueprint


class _Deliverer:
    def __init__(self, urls: UrlPolicy, policy: DeliveryPolicy) -> None:
        self._urls = urls
        self._policy = policy

    def run(self, job: Job) -> None:
        """Make one delivery, or snooze it."""
        with job.transaction() as conn:
            due = storage.lock_delivery(conn, job.body, job.id)
        if due is None:
            return  # deleted, or made by another task
        try:
            self._deliver(job, due)
        finally:
            if due.lock_acquired:
                _unlock_webhook(conn, due.id)

    def _deliver(self, job: Job, due: PendingDelivery) -> None:
        if due.disabled:
            with job.complete() as conn:
                storage.abandon_delivery(conn, job.body, job.id, "the webhook is disabled")
            return
        if due.backoff > 0 or not due.lock_acquired:
            with job.snooze(self._snooze_seconds(due)):
                pass
            return
        attempt = self._attempt(job, due)
        if attempt.problem is not None:
            self._record_failure(job, due, attempt)
            return
        with job.complete() as conn:
            storage.record_success(conn, attempt)
        _log_attempt(log.info, "webhook_delivered", f"Delivered {due.type}", due, attempt)

    def _attempt(self, job: Job, due: PendingDelivery) -> DeliveryAttempt:
        began = time.monotonic()
        outcome: dict[str, Any]
        try:
            response = self._post(due, job.raise_if_stopped)
        except (DeliveryError, InvalidUrl) as failure:
            timed_out = isinstance(failure, DeliveryError) and failure.timed_out
            outcome = {"problem": sanitize_text(str(failure)), "timed_out": timed_out}
        else:
            outcome = {"answer": response.status, "retry_after": response.retry_after}
            if not 200 <= response.status < 300:
                said = f": {response.text[:200]}" if response.text else ""
                outcome["problem"] = sanitize_text(f"answered {response.status}{said}")
        seconds = round(time.monotonic() - began, 3)
        return DeliveryAttempt(due.id, job.body, job.id, seconds, **outcome)

    def _snooze_seconds(self, due: PendingDelivery) -> float:
        """The pause of the webhook, and the estimated time of its other deliveries, randomised."""
        others = due.last_duration * due.due_soon
        wait = min(self._policy.max_snooze, max(self._policy.min_snooze, others))
        return due.backoff + wait * random.uniform(0.5, 1.5)  # noqa: S311

    def _post(self, due: PendingDelivery, check: Callable[[], None]) -> TargetResponse:
        id, now = str(due.event_id), int(time.time())
        signing = [due.secret, *([due.former_secret] if due.former_secret else [])]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "pizza-webhooks",
            "webhook-id": id,
            "webhook-timestamp": str(now),
            "webhook-signature": domain.signatures(signing, id, now, due.payload),
        }
        return send_post(
            parse_url(due.url, self._urls.schemes),
            due.payload.encode(),
            headers,
            allow_private=self._urls.allow_private,
            seconds=self._policy.timeout,
            check=check,
        )

    def _record_failure(self, job: Job, due: PendingDelivery, attempt: DeliveryAttempt) -> None:
        number, schedule = due.attempts + 1, self._policy.schedule
        asked = timedelta(seconds=min(attempt.retry_after or 0.0, self._policy.max_retry_after))
        gone = attempt.answer == GONE
        if gone or number >= schedule.max_attempts:
            wait = None
            transaction = job.complete()
            action, text = "webhook_failed", f"{due.type} is given up"
        else:
            wait = max(schedule.delay(number), asked)
            transaction = job.snooze(wait)
            action = "webhook_retried"
            text = f"{due.type} was not delivered, next in {wait.total_seconds():.0f} s"
        with transaction as conn:
            failing = storage.record_failure(
                conn,
                attempt,
                wait=wait,
                backoff=asked if attempt.answer in _LIMITED else timedelta(),
                timeout_backoff=timedelta(seconds=self._policy.backoff),
                max_backoff=timedelta(seconds=self._policy.max_backoff),
            )
            if failing > self._policy.disable_after:
                _disable(conn, due, f"has failed for {failing.days} days")
            if gone:
                _disable(conn, due, f"answered {GONE} Gone")
        _log_attempt(log.warning, action, text, due, attempt)


def _unlock_webhook(conn: BoundedConnection, webhook: int) -> None:
    # The lock belongs to the session; without the session it is released.
    with suppress(DatabaseUnavailable, psycopg.Error), translate_errors():
        if not conn.closed:
            storage.unlock_webhook(conn, webhook)


def _disable(conn: BoundedConnection, due: PendingDelivery, reason: str) -> None:
    if storage.disable_webhook(conn, due.id, reason):
        text = f"Webhook disabled: {reason}"
        log_action(log.warning, "webhook_disabled", text, {"webhook": due.id})


def _log_attempt(
    write: Callable[..., None],
    action: str,
    text: str,
    due: PendingDelivery,
    attempt: DeliveryAttempt,
) -> None:
    details: dict[str, Any] = {
        "webhook": due.id,
        "delivery": str(attempt.id),
        "attempt": due.attempts + 1,
    }
    if attempt.answer is not None:
        details["answer"] = attempt.answer
    elif attempt.problem is not None:
        details["problem"] = attempt.problem
    log_action(write, action, text, details, duration_ms=round(attempt.duration * 1000))
