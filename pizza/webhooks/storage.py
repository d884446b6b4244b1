"""Webhooks and their deliveries in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all, fetch_one
from pizza.domain.errors import WebhookDeliveryNotFound

_SQL = Queries("restaurant/webhooks")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook without its secret. types: None for all.

    rests_until: nothing is sent to it until then; former_until: its previous secret is used too.
    """

    id: int
    url: str
    description: str | None
    types: list[str] | None
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None
    rests_until: datetime | None
    former_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookPatch:
    """Fields of a webhook to change; None: unchanged. types, description: empty for none."""

    url: str | None = None
    types: Sequence[str] | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """The delivery of one event to one webhook. answer: an HTTP status; duration: in seconds.

    next_at: the time of the next attempt, None for at once, or for none.
    """

    id: UUID
    position: int
    webhook_id: int
    event_id: UUID
    type: str
    order_number: str | None
    state: str
    attempts: int
    created_at: datetime
    tried_at: datetime | None
    next_at: datetime | None
    answer: int | None
    problem: str | None
    duration: float | None
    payload: str


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A delivery that a task has to attempt, and its webhook.

    id: the webhook's; backoff: seconds during which nothing may be sent to it; last_duration: of
    its last response in seconds; due_soon: number of its deliveries that are due within a minute;
    lock_acquired: no other task delivers to this webhook, and `unlock_webhook` must be called.
    """

    event_id: UUID
    type: str
    payload: str
    attempts: int
    id: int
    url: str
    secret: bytes = field(repr=False)
    former_secret: bytes | None = field(repr=False)
    disabled: bool
    backoff: float
    last_duration: float
    due_soon: int
    lock_acquired: bool


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """The outcome of an attempt. id: the delivery's; message_id: of the task's message.

    retry_after: the seconds for which the receiver wants to be left alone, if it says so.
    """

    webhook: int
    id: UUID
    message_id: UUID
    duration: float
    answer: int | None = None
    problem: str | None = None
    timed_out: bool = False
    retry_after: float | None = None


def list_subscribed(conn: Connection, type: str) -> list[int]:
    """The ids of the enabled webhooks that receive events of a type."""
    return [id for (id,) in conn.execute(_SQL.list_subscribed, {"type": type})]


def insert_delivery(conn: Connection, **values: object) -> bool:
    """Note a delivery that is to be made, by a task of the same id; False: it was noted before.

    values: id, webhook, event_id, type, number (of the order, or None), payload.
    """
    return conn.execute(_SQL.insert_delivery, values).rowcount == 1


def insert_webhook(conn: Connection, **values: object) -> int:
    """Register a webhook; returns its id.

    values: url, description, types (None for all), secret, key (None, or the id of the key with
    which it ends).
    """
    row = conn.execute(_SQL.insert_webhook, values).fetchone()
    assert row is not None
    return int(row[0])


def list_webhooks(conn: Connection, id: int | None = None) -> list[Webhook]:
    """All webhooks, oldest first, or the one with this id."""
    return fetch_all(conn, Webhook, _SQL.list_webhooks, {"id": id})


def update_webhook(
    conn: Connection, id: int, patch: WebhookPatch, *, reason: str, key_id: str | None
) -> None:
    """Update the fields that are given, of a webhook if there is one.

    reason: why it is disabled; key_id: the key to which it belongs when it is enabled.
    """
    values = {
        "id": id,
        "url": patch.url,
        "set_types": patch.types is not None,
        "types": list(patch.types) if patch.types else None,
        "set_description": patch.description is not None,
        "description": patch.description or None,
        "enabled": patch.enabled,
        "reason": reason,
        "key": key_id,
    }
    conn.execute(_SQL.update_webhook, values)


def lock_webhook(conn: Connection, id: int) -> None:
    """Lock a webhook, if there is one, until the transaction ends."""
    conn.execute(_SQL.lock_webhook, {"id": id})


def delete_webhook(conn: Connection, id: int) -> bool:
    """Delete a webhook and its deliveries; False if it does not exist."""
    return conn.execute(_SQL.delete_webhook, {"id": id}).fetchone() is not None


def rotate_secret(conn: Connection, id: int, secret: bytes, overlap: timedelta) -> bool:
    """Set another secret; the previous one is used for `overlap` longer. False: no such webhook."""
    values = {"id": id, "secret": secret, "both": overlap}
    return conn.execute(_SQL.rotate_secret, values).fetchone() is not None


def list_deliveries(
    conn: Connection, webhook: int, before: int | None, limit: int
) -> list[WebhookDelivery]:
    """The newest deliveries of a webhook, or those before a position."""
    values = {"webhook": webhook, "before": before, "limit": limit}
    return fetch_all(conn, WebhookDelivery, _SQL.list_deliveries, values)


def find_delivery(conn: Connection, webhook: int, id: UUID) -> WebhookDelivery:
    """One delivery of a webhook. Raises WebhookDeliveryNotFound."""
    values = {"webhook": webhook, "id": id}
    delivery = fetch_one(conn, WebhookDelivery, _SQL.find_delivery, values)
    if delivery is None:
        raise WebhookDeliveryNotFound(str(id))
    return delivery


def requeue_delivery(conn: Connection, webhook: int, id: UUID, message_id: UUID) -> bool:
    """Requeue a delivery for the task of another message; the previous message is cancelled.

    False: the webhook has no such delivery.
    """
    values = {"webhook": webhook, "id": id, "message_id": message_id}
    row = conn.execute(_SQL.requeue_delivery, values).fetchone()
    assert row is not None
    return bool(row[0])


def lock_delivery(conn: Connection, id: UUID, message_id: UUID) -> PendingDelivery | None:
    """The delivery of a task; None if it no longer belongs to the task.

    If `lock_acquired`, call `unlock_webhook` afterwards.
    """
    values = {"id": id, "message_id": message_id}
    return fetch_one(conn, PendingDelivery, _SQL.lock_delivery, values)


def unlock_webhook(conn: Connection, webhook: int) -> None:
    """Release the lock that `lock_delivery` has acquired, on the same session."""
    conn.execute(_SQL.unlock_webhook, {"webhook": webhook})


def record_success(conn: Connection, attempt: DeliveryAttempt) -> None:
    """Record a successful attempt."""
    conn.execute(_SQL.record_success, asdict(attempt))


def record_failure(
    conn: Connection, attempt: DeliveryAttempt, **pauses: timedelta | None
) -> timedelta:
    """Record a failed attempt; returns for how long deliveries have been failing.

    pauses: `wait` until the next attempt, None for no further one; `backoff` of the webhook;
    `timeout_backoff` of it after a timeout, doubled for consecutive ones up to `max_backoff`.
    """
    values = asdict(attempt) | pauses
    row = conn.execute(_SQL.record_failure, values).fetchone()
    return row[0] if row else timedelta()


def abandon_delivery(conn: Connection, id: UUID, message_id: UUID, problem: str) -> None:
    """Set a delivery to failed without an attempt."""
    conn.execute(_SQL.abandon_delivery, {"id": id, "message_id": message_id, "problem": problem})


def disable_webhook(conn: Connection, webhook: int, reason: str) -> bool:
    """Disable a webhook; False if it was disabled before."""
    return conn.execute(_SQL.disable_webhook, {"webhook": webhook, "reason": reason}).rowcount == 1
