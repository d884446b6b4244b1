"""Records every notification, and logs missing and late ones."""

from __future__ import annotations

import logging

from pizza.database.connection import BoundedConnection
from pizza.orders import StatusMessage, read_status_message
from pizza.taskqueue.errors import DuplicateEvent
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.subscriber.event import Event, OnCommit
from pizza.tracking import storage
from pizza.webhooks import dispatch_event

log = logging.getLogger(__name__)


def on_notification(event: Event, conn: BoundedConnection | None) -> OnCommit:
    """Store a notification, and dispatch it to webhooks, in one transaction.

    Returns the function that logs it after the commit. Raises DuplicateEvent for one that was
    stored before, PoisonMessage.
    """
    assert conn is not None, "tracking has a database"
    message = read_status_message(event.body, event.id)
    before = storage.record_event(conn, message)
    if before is None:
        raise DuplicateEvent(
            f"event {message.event_id} of order {message.number} is stored already"
        )
    dispatch_event(conn, message)
    log_order = _record_in_order(conn, message, before)

    def log_event() -> None:
        _log_status_changed(message)
        if log_order is not None:
            log_order()

    return log_event


def _record_in_order(
    conn: BoundedConnection, message: StatusMessage, before: int
) -> OnCommit | None:
    """Record a gap before an event, or that it is late; returns the function that logs it."""
    number, sequence = message.number, message.sequence
    if sequence is None or sequence == before + 1:
        return None
    if sequence > before:
        storage.open_gap(conn, number, before + 1, sequence - 1)
        return lambda: _log_gap(number, before + 1, sequence - 1)
    missing = storage.fill_gap(conn, number, sequence, message.event_id)
    return lambda: _log_late(number, sequence, before, missing)


def _log_status_changed(message: StatusMessage) -> None:
    was = f"from '{message.old}' " if message.old else ""
    text = f"Order status changed {was}to '{message.new}' by {message.by}"
    if message.old == message.new:  # another priority, another cook
        text = f"Order changed by {message.by}, its status is still '{message.new}'"
    details = {
        "old_status": message.old,
        "new_status": message.new,
        "changed_by": message.by,
        "at": message.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "sequence": message.sequence,
        "event_id": str(message.event_id),
    }
    log_action(log.info, "status_changed", text, details, order_number=message.number)


def _log_gap(number: str, first: int, last: int) -> None:
    what = f"Event {first} is" if first == last else f"Events {first} to {last} are"
    details = {"first": first, "last": last}
    log_action(log.warning, "event_gap", f"{what} missing", details, order_number=number)


def _log_late(number: str, sequence: int, newest: int, missing: int | None) -> None:
    if missing is None:
        text = f"Event {sequence} came late, and another had its number"
    elif missing == 0:
        text = f"Event {sequence} came late; the gap is filled"
    else:
        text = f"Event {sequence} came late; {missing} more of its gap are missing"
    details = {"sequence": sequence, "newest": newest, "filled": missing == 0}
    log_action(log.warning, "event_late", text, details, order_number=number)
