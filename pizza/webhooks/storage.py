"""Webhooks and their deliveries in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from pizza.database.queries import Queries

_SQL = Queries("restaurant/webhooks")

WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as staff sees it. types: None for all; its secret is shown nowhere again.

    rests_until: nothing is sent to it until then; former_until: its former secret counts too.
    """

    id: int
    url: str
    description: str | None
    types: list[str] | None
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None
    rests_until: datetime | None
    former_until: datetime | None


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """What became of one event for one webhook. answer: an HTTP status; duration in seconds.

    next_at: when it is tried again, None for as soon as can be, or never.
    """

    id: UUID
    position: int
    webhook_id: int
    event_id: UUID
    type: str
    order_number: str | None
    created_at: datetime
    state: str
    attempts: int
    tried_at: datetime | None
    answer: int | None
    problem: str | None
    duration: float | None
    next_at: datetime | None
    payload: str


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that a task has to make, and what is known of its webhook.

    rests: seconds that the webhook is to be left alone; pace: seconds that its last answer took;
    near: its deliveries that are to be tried soon; alone: nobody else is at this webhook, and
    `end` has to be called.
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
    rests: float
    pace: float
    near: int
    alone: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt, as it is noted: of which delivery, by which task's message, its outcome."""

    webhook: int
    id: UUID
    message_id: UUID
    duration: float
    answer: int | None = None
    problem: str | None = None
    late: bool = False

    def values(self) -> dict[str, Any]:
        """As parameters of a statement."""
        return {name: getattr(self, name) for name in self.__slots__}


def wanted(conn: Connection, type: str) -> list[int]:
    """The ids of the webhooks that want to hear of events of a type."""
    return [id for (id,) in conn.execute(_SQL.wanted, {"type": type})]


def note(
    conn: Connection,
    id: UUID,
    *,
    webhook: int,
    event_id: UUID,
    type: str,
    number: str | None,
    payload: str,
) -> bool:
    """Note a delivery that is to be made, by a task of the same id; False: it was noted before."""
    values = {
        "id": id, "webhook": webhook, "event_id": event_id, "type": type, "number": number,
        "payload": payload,
    }  # fmt: skip
    return conn.execute(_SQL.note, values).rowcount == 1


def add(
    conn: Connection,
    url: str,
    description: str | None,
    types: Sequence[str] | None,
    secret: bytes,
    *,
    key_id: str | None = None,
) -> int:
    """Register a webhook; returns its id. key_id: of the key with which it ends."""
    values = {
        "url": url, "description": description, "types": list(types) if types else None,
        "secret": secret, "key": key_id,
    }  # fmt: skip
    row = conn.execute(_SQL.add, values).fetchone()
    assert row is not None
    return int(row[0])


def find(conn: Connection, id: int | None = None) -> list[Webhook]:
    """All webhooks by age, or the one of this id, or none."""
    return [Webhook(*row) for row in conn.execute(_SQL.find, {"id": id}).fetchall()]


def change(
    conn: Connection,
    id: int,
    *,
    url: str | None,
    set_types: bool,
    types: Sequence[str] | None,
    set_description: bool,
    description: str | None,
    enabled: bool | None,
    reason: str,
    key_id: str | None = None,
) -> bool:
    """Change what is given; False when there is no such webhook.

    reason: why it is disabled; key_id: the key to which it belongs when it is enabled.
    """
    values = {
        "id": id, "url": url, "set_types": set_types, "types": list(types) if types else None,
        "set_description": set_description, "description": description, "enabled": enabled,
        "reason": reason, "key": key_id,
    }  # fmt: skip
    return conn.execute(_SQL.change, values).fetchone() is not None


def lock(conn: Connection, id: int) -> None:
    """Lock a webhook, if there is one, until the transaction ends."""
    conn.execute(_SQL.lock, {"id": id})


def remove(conn: Connection, id: int) -> bool:
    """Forget a webhook and its deliveries; False when there is none."""
    return conn.execute(_SQL.remove, {"id": id}).fetchone() is not None


def rotate(conn: Connection, id: int, secret: bytes, both: timedelta) -> bool:
    """Give it another secret; the former one counts for `both` longer. False: no such webhook."""
    values = {"id": id, "secret": secret, "both": both}
    return conn.execute(_SQL.rotate, values).fetchone() is not None


def deliveries(
    conn: Connection, webhook: int, before: int | None, limit: int
) -> list[WebhookDelivery]:
    """The newest deliveries of a webhook, or those before a position."""
    values = {"webhook": webhook, "before": before, "limit": limit}
    return [WebhookDelivery(*row) for row in conn.execute(_SQL.deliveries, values).fetchall()]


def delivery(conn: Connection, webhook: int, id: UUID) -> WebhookDelivery | None:
    """One delivery of a webhook."""
    row = conn.execute(_SQL.delivery, {"webhook": webhook, "id": id}).fetchone()
    return WebhookDelivery(*row) if row else None


def retry(conn: Connection, webhook: int, id: UUID, message_id: UUID) -> bool:
    """Have a delivery made again, by the task of another message; the former one is withdrawn.

    False: the webhook has no such delivery.
    """
    values = {"webhook": webhook, "id": id, "message_id": message_id}
    row = conn.execute(_SQL.retry, values).fetchone()
    assert row is not None
    return bool(row[0])


def begin(conn: Connection, id: UUID, message_id: UUID) -> Due | None:
    """What a task has to do; None when the delivery is none of its any more. Then call `end`."""
    values = {"id": id, "message_id": message_id}
    with conn.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(_SQL.begin, values).fetchone()


def end(conn: Connection, webhook: int) -> None:
    """Let others at the webhook, where `begin` has said that one is alone."""
    conn.execute(_SQL.end, {"webhook": webhook})


def note_delivered(conn: Connection, attempt: Attempt) -> None:
    """Note a good answer."""
    conn.execute(_SQL.delivered, attempt.values())


def note_not_delivered(
    conn: Connection,
    attempt: Attempt,
    *,
    wait: timedelta | None,
    rest: timedelta,
    late_rest: timedelta,
    longest: timedelta,
) -> timedelta:
    """Note any other outcome; returns for how long nothing has been delivered.

    wait: until the next attempt, None when there is none. rest: how long to leave the webhook
    alone; late_rest: the same for one that was late, doubled each time in a row up to `longest`.
    """
    values = attempt.values() | {
        "wait": wait, "rest": rest, "late_rest": late_rest, "longest": longest,
    }  # fmt: skip
    row = conn.execute(_SQL.not_delivered, values).fetchone()
    return row[0] if row else timedelta()


def give_up(conn: Connection, id: UUID, message_id: UUID, problem: str) -> None:
    """Note that a delivery will not be made, without an attempt."""
    conn.execute(_SQL.given_up, {"id": id, "message_id": message_id, "problem": problem})


def disable(conn: Connection, webhook: int, reason: str) -> bool:
    """Send it nothing from now on; False when it was disabled before."""
    return conn.execute(_SQL.disable, {"webhook": webhook, "reason": reason}).rowcount == 1
