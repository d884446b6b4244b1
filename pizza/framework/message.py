"""The envelope: how a message stands on the wire.

The body is the application's alone. What the framework needs travels in AMQP
properties (message_id) and headers (task, attempt, position, format), so that any AMQP client
can read and write messages. The header `correlation_id` of a row becomes the property.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import amqp

from pizza.framework.errors import PoisonMessage

CONTENT_TYPE = "application/json"
PERSISTENT = 2
REPLY_TO = "reply_to"
CORRELATION_ID = "correlation_id"
FORMAT = "format"
_MAX_SHORT_BYTES = 255  # of an AMQP property, and of a queue's name


@dataclass(frozen=True, slots=True)
class Ticket:
    """One delivery of a message: what the broker handed to this worker, unacknowledged.

    delivery_tag: 0 (the broker begins at 1) for a message that the database named.
    reply_to, correlation_id: of the sender, from the property, or else from the header.
    """

    queue: str
    delivery_tag: int
    redelivered: bool
    message_id: str | None
    priority: int
    headers: dict[str, Any]
    body: bytes
    reply_to: str | None = None
    correlation_id: str | None = None

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts tickets best first: high priority, then age."""
        position = self.headers.get("position")
        return -self.priority, position if isinstance(position, int) else 0

    @property
    def foreign(self) -> bool:
        """Whether it comes from outside: it has none of what the framework's relay writes."""
        return "task" not in self.headers

    @property
    def format(self) -> int:
        """Which format of its task's messages it has; 1 when it does not say."""
        given = self.headers.get(FORMAT)
        return given if isinstance(given, int) and not isinstance(given, bool) else 1

    def id(self) -> UUID:
        """The message's id. Raises PoisonMessage when it has none of ours."""
        try:
            return UUID(self.message_id or "")
        except ValueError:
            raise PoisonMessage(f"message_id is {self.message_id!r}, not a UUID") from None

    def task_name(self) -> str:
        """The task it is for. Raises PoisonMessage when it does not say."""
        name = self.headers.get("task")
        if not isinstance(name, str):
            raise PoisonMessage("the message names no task in its headers")
        return name

    def json(self) -> Any:
        """The body as JSON. Raises PoisonMessage when it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise PoisonMessage(f"the body is not JSON: {str(error)[:200]}") from None


def ticket(queue: str, message: Any) -> Ticket:
    """Read a py-amqp message, as delivered from `queue`."""
    properties, delivery = message.properties, message.delivery_info
    headers = properties.get("application_headers") or {}
    body = message.body
    return Ticket(
        queue=queue,
        delivery_tag=delivery["delivery_tag"],
        redelivered=bool(delivery["redelivered"]),
        message_id=properties.get("message_id"),
        priority=properties.get("priority") or 0,
        headers=headers,
        body=body.encode() if isinstance(body, str) else bytes(body),
        reply_to=_short_text(REPLY_TO, properties, headers),
        correlation_id=_short_text(CORRELATION_ID, properties, headers),
    )


def named(row: Any) -> Ticket:
    """The ticket in place of one, for a row that the database has named (`framework.match`)."""
    id, task, queue, priority, position, headers, body = row
    headers = {**(headers or {}), "task": task, "position": position}
    return Ticket(
        queue=queue,
        delivery_tag=0,
        redelivered=False,
        message_id=str(id),
        priority=priority,
        headers=headers,
        body=bytes(body),
        reply_to=_short_text(REPLY_TO, headers),
        correlation_id=_short_text(CORRELATION_ID, headers),
    )


def _short_text(name: str, *places: Mapping[str, Any]) -> str | None:
    """The first value of that name that is text and fits into an AMQP property."""
    for place in places:
        value = place.get(name)
        if isinstance(value, str) and len(value.encode(errors="surrogatepass")) <= _MAX_SHORT_BYTES:
            return value
    return None


def outgoing(row: Any) -> amqp.Message:
    """The message that publishes a row of the table `message` (columns as in `relay.pending`)."""
    _position, id, task, _exchange, _key, priority, headers, body, attempt, created_at = row
    application_headers = dict(headers) if headers else {}
    correlation = application_headers.pop(CORRELATION_ID, None)
    properties = {CORRELATION_ID: correlation} if isinstance(correlation, str) else {}
    if task is not None:
        application_headers |= {"task": task, "attempt": attempt + 1, "position": _position}
    return amqp.Message(
        body,
        content_type=CONTENT_TYPE,
        delivery_mode=PERSISTENT,
        priority=priority,
        message_id=str(id),
        timestamp=int(created_at.timestamp()),
        application_headers=application_headers,
        **properties,
    )


def encode(body: Any) -> bytes:
    """A body as compact JSON. Raises PoisonMessage for what JSON cannot hold."""
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise PoisonMessage(f"the body cannot be written as JSON: {error}") from error
