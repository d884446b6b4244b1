"""Records every notification, and logs those that are missing or late."""

from __future__ import annotations

import logging

from pizza.database.connection import BoundedConnection
from pizza.orders.status_messages import StatusMessage, read_status_message
from pizza.taskqueue.errors import DuplicateEvent
from pizza.taskqueue.subscriber.event import Event, OnCommit
from pizza.tracking import storage
from pizza.webhooks import events

log = logging.getLogger(__name__)


def on_notification(event: Event, conn: BoundedConnection | None) -> OnCommit:
    """Store a notification, and have webhooks told of it.

    Raises DuplicateEvent for one that is stored, PoisonMessage.
    """
    assert conn is not None, "tracking has a database"
    message = read_status_message(event.body, event.id)
    before = storage.record(
        conn,
        event_id=message.event_id,
        number=message.number,
        sequence=message.sequence,
        old=message.old,
        new=message.new,
        by=message.by,
        at=message.at,
        promised=message.estimated_completion,
        order_type=message.order_type,
        priority=message.priority,
    )
    if before is None:
        raise DuplicateEvent(
            f"event {message.event_id} of order {message.number} is stored already"
        )
    events.dispatch_event(conn, message)
    note = _order_of_arrival(conn, message, before)

    def tell() -> None:
        _status_changed(message)
        if note is not None:
            note()

    return tell


def _order_of_arrival(
    conn: BoundedConnection, message: StatusMessage, before: int
) -> OnCommit | None:
    """Compare an event's number with those that came before it; what is to be said of that."""
    number, sequence = message.number, message.sequence
    if sequence is None or sequence == before + 1:
        return None
    if sequence > before:
        storage.open_gap(conn, number, before + 1, sequence - 1)
        return lambda: _gap(number, before + 1, sequence - 1)
    missing = storage.fill_gap(conn, number, sequence, message.event_id)
    return lambda: _late(number, sequence, before, missing)


def _status_changed(message: StatusMessage) -> None:
    was = f"from '{message.old}' " if message.old else ""
    text = f"Order status changed {was}to '{message.new}' by {message.by}"
    if message.old == message.new:  # another priority, another cook
        text = f"Order changed by {message.by}, its status is still '{message.new}'"
    log.info(
        "%s", text,
        extra={
            "action": "status_changed",
            "order_number": message.number,
            "details": {
                "old_status": message.old,
                "new_status": message.new,
                "changed_by": message.by,
                "at": message.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "sequence": message.sequence,
                "event_id": str(message.event_id),
            },
        },
    )  # fmt: skip


def _gap(number: str, first: int, last: int) -> None:
    what = f"Event {first} is" if first == last else f"Events {first} to {last} are"
    log.warning(
        "%s missing", what,
        extra={
            "action": "event_gap",
            "order_number": number,
            "details": {"first": first, "last": last},
        },
    )  # fmt: skip


def _late(number: str, sequence: int, newest: int, missing: int | None) -> None:
    if missing is None:
        text = f"Event {sequence} came late, and another had its number"
    elif missing == 0:
        text = f"Event {sequence} came late; the gap is filled"
    else:
        text = f"Event {sequence} came late; {missing} more of its gap are missing"
    log.warning(
        "%s", text,
        extra={
            "action": "event_late",
            "order_number": number,
            "details": {"sequence": sequence, "newest": newest, "filled": missing == 0},
        },
    )  # fmt: skip
