"""From an event to its deliveries: a row and a task for each webhook that wants to hear of it.

The tracking service takes over each event once, and calls `tell` in that transaction. The
deliveries are made by a webhook-worker (pizza.webhooks.delivery).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import psycopg

from pizza.customers import personal_data_storage
from pizza.domain import webhooks as domain
from pizza.domain.personal_data import redact_event
from pizza.orders.status_messages import StatusMessage
from pizza.taskqueue import Job, Task
from pizza.topology import WEBHOOKS_QUEUE
from pizza.webhooks import storage

Connection = psycopg.Connection[Any]

TASK = "deliver_webhook"


def _elsewhere(job: Job) -> None:
    raise NotImplementedError("deliveries are made by the webhook-worker")


# To send by; the function under this name is the webhook-worker's.
_OUTGOING = Task(TASK, _elsewhere, WEBHOOKS_QUEUE)


def tell(conn: Connection, message: StatusMessage) -> None:
    """Have every webhook told that wants to be, in the caller's transaction; twice is as once.

    A notification that comes after its customer was erased names nobody.
    """
    type = domain.event_type(message.old, message.new)
    ids = storage.wanted(conn, type)
    if not ids:
        return
    data = message.body | {"event_id": str(message.event_id)}
    if personal_data_storage.is_erased(conn, message.number):
        data = redact_event(data)
    body = domain.payload(type, message.at, data)
    for id in ids:
        note(conn, id, message.event_id, type=type, number=message.number, body=body)


def note(
    conn: Connection, webhook: int, event_id: UUID, *, type: str, number: str | None, body: str
) -> UUID:
    """Note one delivery, with its task; returns its id, which follows from event and webhook."""
    delivery = uuid5(event_id, str(webhook))
    new = storage.note(
        conn, delivery, webhook=webhook, event_id=event_id, type=type, number=number, payload=body
    )
    if new:
        send(conn, delivery, delivery)
    return delivery


def send(conn: Connection, delivery: UUID, message_id: UUID) -> None:
    """Send the task that makes a delivery, in the caller's transaction."""
    _OUTGOING.send(conn, {"delivery": str(delivery)}, message_id=message_id)
