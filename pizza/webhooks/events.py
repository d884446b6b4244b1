"""Dispatches events to webhooks: a row and a task for each webhook that receives the type.

The tracking service records each event once, and calls `dispatch_event` in that transaction. A
webhook worker executes the tasks (pizza.webhooks.delivery).
"""

from __future__ import annotations

from uuid import UUID, uuid5

from pizza.customers import is_erased
from pizza.database.connection import Connection
from pizza.domain import webhooks as domain
from pizza.domain.personal_data import redact_event
from pizza.orders import StatusMessage
from pizza.taskqueue import Job, Task
from pizza.topology import WEBHOOKS_QUEUE
from pizza.webhooks import storage

TASK = "deliver_webhook"


def _not_here(job: Job) -> None:
    raise NotImplementedError("deliveries are made by the webhook-worker")


# For sending only; the webhook worker has the function of this task.
_OUTGOING = Task(TASK, _not_here, WEBHOOKS_QUEUE)


def dispatch_event(conn: Connection, message: StatusMessage) -> None:
    """Create the deliveries of an event, in the caller's transaction. Idempotent.

    If its customer has been erased, the event is sent without personal data.
    """
    type = domain.event_type(message.old, message.new)
    ids = storage.list_subscribed(conn, type)
    if not ids:
        return
    data = message.body | {"event_id": str(message.event_id)}
    if is_erased(conn, message.number):
        data = redact_event(data)
    body = domain.payload(type, message.at, data)
    for id in ids:
        create_delivery(conn, id, message.event_id, type=type, number=message.number, body=body)


def create_delivery(
    conn: Connection, webhook: int, event_id: UUID, *, type: str, number: str | None, body: str
) -> UUID:
    """Create one delivery and its task; returns its id, derived from event and webhook."""
    delivery = uuid5(event_id, str(webhook))
    new = storage.insert_delivery(
        conn,
        id=delivery,
        webhook=webhook,
        event_id=event_id,
        type=type,
        number=number,
        payload=body,
    )
    if new:
        enqueue_delivery(conn, delivery, delivery)
    return delivery


def enqueue_delivery(conn: Connection, delivery: UUID, message_id: UUID) -> None:
    """Enqueue the task of a delivery, in the caller's transaction."""
    _OUTGOING.send(conn, {"delivery": str(delivery)}, message_id=message_id)
