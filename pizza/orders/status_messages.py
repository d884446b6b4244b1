"""Reading a status message of this or another program."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from pizza.domain.order import MAX_PRIORITY, MIN_PRIORITY, ORDER_TYPES
from pizza.domain.status import STATUSES
from pizza.taskqueue.errors import PoisonMessage

NUMBER_LENGTH = 20
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A change of an order's status. sequence: None where the sender counts none.

    order_type, priority: None where it does not say, or nothing that we know.
    body: the whole message, with what is not taken up here.
    """

    event_id: UUID
    number: str
    old: str | None
    new: str
    by: str
    at: datetime
    estimated_completion: datetime | None
    sequence: int | None
    customer: str | None
    order_type: str | None
    priority: int | None
    body: dict[str, Any]


def read_status_message(body: Any, message_id: str | None) -> StatusMessage:
    """Read a notification. Raises PoisonMessage, naming the field that is bad.

    Its id is the body's, else the message's; for one that has none it is made of the content,
    so that the same content is the same event.
    """
    if not isinstance(body, dict):
        raise PoisonMessage("the status message is not a JSON object")
    number = read_text(body, "order_number", NUMBER_LENGTH)
    new = read_status(body, "new_status")
    old = None if body.get("old_status") is None else read_status(body, "old_status")
    at = _moment(body, "timestamp")
    if at is None:
        raise PoisonMessage("timestamp is missing")
    order_type = body.get("order_type")
    return StatusMessage(
        event_id=_identity(body, message_id),
        number=number,
        old=old,
        new=new,
        by=read_text(body, "changed_by", 200),
        at=at,
        estimated_completion=_moment(body, "estimated_completion"),
        sequence=_sequence(body),
        customer=body.get("customer_name") and read_text(body, "customer_name", 200),
        order_type=order_type if order_type in ORDER_TYPES else None,
        priority=_priority(body),
        body=body,
    )


def _priority(body: dict[str, Any]) -> int | None:
    value = body.get("priority")
    return value if type(value) is int and MIN_PRIORITY <= value <= MAX_PRIORITY else None


def read_text(body: dict[str, Any], field: str, longest: int) -> str:
    """A field that has to be there. Raises PoisonMessage."""
    value = body.get(field)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise PoisonMessage(f"{field} is not a text of 1 to {longest} characters")
    if "\x00" in value or (not value.isascii() and _has_surrogates(value)):
        raise PoisonMessage(f"{field} has characters that no text may have")
    return value


def read_status(body: dict[str, Any], field: str) -> str:
    """A field that has to be a status. Raises PoisonMessage."""
    value = body.get(field)
    if value not in STATUSES:
        raise PoisonMessage(f"{field} is not one of {', '.join(STATUSES)}")
    return value


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= each <= "\udfff" for each in text)


def _moment(body: dict[str, Any], field: str) -> datetime | None:
    value = body.get(field)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise PoisonMessage(f"{field} is not a time such as 2024-12-16T10:32:00Z") from None


def _sequence(body: dict[str, Any]) -> int | None:
    value = body.get("sequence")
    if value is not None and not (type(value) is int and 1 <= value <= _LARGEST):
        raise PoisonMessage("sequence is not a whole number from 1")
    return value


def _identity(body: dict[str, Any], message_id: str | None) -> UUID:
    given = body.get("event_id") or message_id
    if not given:
        return uuid5(NAMESPACE_URL, json.dumps(body, sort_keys=True))
    try:
        return UUID(given)
    except (ValueError, AttributeError, TypeError):
        return uuid5(NAMESPACE_URL, str(given))
