"""Status requests by message: parsed, applied and answered in one transaction.

A program that may publish to `orders_direct` may do what staff may. Only cooks set `cooking` and
`ready`, since they hold the order's message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pizza.database.connection import BoundedConnection
from pizza.domain.errors import DomainError
from pizza.domain.status import STAFF
from pizza.orders import (
    NUMBER_LENGTH,
    read_status,
    read_text,
    send_reply,
    transition_order,
)
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import sanitize_text
from pizza.taskqueue.subscriber.event import Event
from pizza.tracking import storage as tracking

log = logging.getLogger(__name__)

_NAME_LENGTH, _REASON_LENGTH = 50, 500


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """A request to set the status of an order."""

    number: str
    to: str
    by: str
    reason: str | None


def parse_request(body: Any) -> StatusRequest:
    """Parse a request. Raises PoisonMessage, naming the field that is bad."""
    if not isinstance(body, dict):
        raise PoisonMessage("the status request is not a JSON object")
    unknown = sorted(set(body) - {"order_number", "new_status", "changed_by", "reason"})
    if unknown:
        raise PoisonMessage(f"a status request has no field {sanitize_text(unknown[0])[:50]!r}")
    reason = body.get("reason")
    return StatusRequest(
        number=read_text(body, "order_number", NUMBER_LENGTH),
        to=read_status(body, "new_status"),
        by=read_text(body, "changed_by", _NAME_LENGTH),
        reason=reason if reason is None else read_text(body, "reason", _REASON_LENGTH),
    )


def handle_request(event: Event, conn: BoundedConnection | None) -> Callable[[], None]:
    """Apply a request and reply; a repeated message gets the same reply.

    An invalid one is dead-lettered, and gets a reply as well. Returns the function that logs it
    after the commit.
    """
    assert conn is not None, "tracking has a database"
    try:
        request = parse_request(event.body)
    except PoisonMessage as bad:
        event.dead_letter(str(bad)).write_to_outbox(conn)
        send_reply(conn, event, {"ok": False, "error": str(bad)})
        return partial(_log_invalid, event, str(bad))
    known = sanitize_text(event.id) if event.id else None
    if known and (before := tracking.find_reply(conn, known)) is not None:
        send_reply(conn, event, before)
        return partial(_log_duplicate, request, known)
    reply = apply_request(conn, request)
    if known:
        tracking.insert_reply(
            conn, known, number=request.number, new=request.to, by=request.by, reply=reply
        )
    send_reply(conn, event, reply)
    return partial(_log_completed, request, reply)


def apply_request(conn: BoundedConnection, request: StatusRequest) -> dict[str, Any]:
    """Set the status; returns the reply. A refused request changes nothing."""
    try:
        with conn.transaction():
            moved = transition_order(
                conn, request.number, request.to, by=request.by, role=STAFF, reason=request.reason
            )
    except DomainError as refusal:
        return {"ok": False, "error": str(refusal)}
    return {"order_number": moved.number, "status": moved.status, "ok": True}


def _log_completed(request: StatusRequest, answer: dict[str, Any]) -> None:
    details = {"new_status": request.to, "changed_by": request.by, "reason": request.reason}
    if answer["ok"]:
        write, action, text = log.info, "status_request_completed", f"carried out: {request.to}"
    else:
        write, action, text = log.warning, "status_request_refused", f"refused: {answer['error']}"
    log_action(write, action, f"Status request {text}", details, order_number=request.number)


def _log_duplicate(request: StatusRequest, message_id: str) -> None:
    text, details = "Status request was answered before", {"message_id": message_id}
    log_action(log.info, "status_request_duplicate", text, details, order_number=request.number)


def _log_invalid(event: Event, reason: str) -> None:
    text = f"Bad status request: {reason}"
    log_action(log.error, "status_request_invalid", text, {"message_id": event.id})
