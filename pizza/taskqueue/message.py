"""The envelope: how a message stands on the wire.

The body is the application's alone. What the framework needs travels in AMQP
properties (message_id) and headers (task, attempt, position, format), so that any AMQP client
can read and write messages. The header `correlation_id` of a row becomes the property.

What other programs have written is cleaned here: no string of a ticket holds a NUL or a lone
surrogate, which PostgreSQL's text and jsonb refuse.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import amqp

from pizza.taskqueue.broker.frames import utf8
from pizza.taskqueue.errors import PoisonMessage

CONTENT_TYPE = "application/json"
PERSISTENT = 2
REPLY_TO = "reply_to"
CORRELATION_ID = "correlation_id"
FORMAT = "format"
DEAD_MESSAGE = "dead_message"
_MAX_DEPTH = 64
_SHORT_STRING = 255  # octets in an AMQP short string


@dataclass(frozen=True, slots=True)
class Ticket:
    """One delivery of a message: what the broker handed to this worker, unacknowledged.

    delivery_tag: 0 (the broker begins at 1) for a message that the database named.
    message_id: with a hash of the original octets where it had to be cleaned.
    undecodable: why properties or headers are missing; such a message is poison.
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
    undecodable: str | None = None

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

    def check(self) -> None:
        """Raise PoisonMessage when properties or headers could not be decoded."""
        if self.undecodable is not None:
            raise PoisonMessage(self.undecodable)

    def id(self) -> UUID:
        """The message's id. Raises PoisonMessage when it has none of ours."""
        self.check()
        try:
            return UUID(self.message_id or "")
        except ValueError:
            raise PoisonMessage(f"message_id is {self.message_id!r}, not a UUID") from None

    def task_name(self) -> str:
        """The task it is for. Raises PoisonMessage when it does not say."""
        self.check()
        name = self.headers.get("task")
        if not isinstance(name, str):
            raise PoisonMessage("the message names no task in its headers")
        return name

    def json(self) -> Any:
        """The body as JSON. Raises PoisonMessage when it is not."""
        self.check()
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise PoisonMessage(f"the body is not JSON: {str(error)[:200]}") from None


def ticket(queue: str, message: Any) -> Ticket:
    """Read a py-amqp message, as delivered from `queue`. Never raises for what it holds."""
    properties, delivery = message.properties, message.delivery_info
    undecodable: str | None = getattr(message, "undecodable", None)
    try:
        headers = _cleaned(properties.get("application_headers") or {}, _MAX_DEPTH)
    except RecursionError:
        headers, undecodable = {}, f"the headers are nested deeper than {_MAX_DEPTH} levels"
    body = message.body
    return Ticket(
        queue=queue,
        delivery_tag=delivery["delivery_tag"],
        redelivered=bool(delivery["redelivered"]),
        message_id=_identity(properties.get("message_id")),
        priority=properties.get("priority") or 0,
        headers=headers,
        body=body.encode() if isinstance(body, str) else bytes(body),
        reply_to=_short_text(_address(properties.get(REPLY_TO)), headers.get(REPLY_TO)),
        correlation_id=_short_text(
            _text(properties.get(CORRELATION_ID)), headers.get(CORRELATION_ID)
        ),
        undecodable=undecodable,
    )


def clean(text: str) -> str:
    """What text and jsonb can hold: "?" for each NUL and each lone surrogate; never longer."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "?").encode("utf-8", "replace").decode()


def _text(given: str | bytes | None) -> str | None:
    """A property, which is bytes where it was not UTF-8."""
    if given is None:
        return None
    return clean(utf8(given).decode() if isinstance(given, bytes) else given)


def _identity(given: str | bytes | None) -> str | None:
    """Two different ids stay different: one that had to be cleaned gets a hash of its octets."""
    text = _text(given)
    if text is None or text == given:
        return text
    raw = given if isinstance(given, bytes) else (given or "").encode("utf-8", "surrogatepass")
    return f"{text[:40]}~{hashlib.sha256(raw).hexdigest()}"


def _address(given: str | bytes | None) -> str | None:
    """A queue's name; None for one that no row can hold."""
    text = _text(given)
    return text if text == given else None


def _cleaned(value: Any, depth: int) -> Any:
    """A header's value, cleaned. Raises RecursionError when it is nested deeper than `depth`."""
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise RecursionError
    if isinstance(value, list):
        return [_cleaned(each, depth - 1) for each in value]
    return {_text(key) or "": _cleaned(each, depth - 1) for key, each in value.items()}


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
        reply_to=_short_text(headers.get(REPLY_TO)),
        correlation_id=_short_text(headers.get(CORRELATION_ID)),
    )


def _short_text(*places: Any) -> str | None:
    """The first of these that is text and fits into an AMQP property."""
    return next((each for each in places if _fits_property(each)), None)


def outgoing(row: Any) -> amqp.Message:
    """The message that publishes a row of the table `message`, as `relay.pending` names its
    columns.
    """
    application_headers = dict(row.headers) if row.headers else {}
    properties = {}
    if _fits_property(application_headers.get(CORRELATION_ID)):
        properties[CORRELATION_ID] = application_headers.pop(CORRELATION_ID)
    if row.task is not None:
        application_headers |= {
            "task": row.task, "attempt": row.attempt + 1, "position": row.position,
        }  # fmt: skip
    return amqp.Message(
        row.body,
        content_type=CONTENT_TYPE,
        delivery_mode=PERSISTENT,
        priority=row.priority,
        message_id=_published_id(row),
        timestamp=int(row.created_at.timestamp()),
        application_headers=application_headers,
        **properties,
    )


def _published_id(row: Any) -> str:
    """The row's id, or for the copy of a dead message the id of that message."""
    copied = (row.headers or {}).get(DEAD_MESSAGE) if row.task is None else None
    return copied if isinstance(copied, str) and _fits_property(copied) else str(row.id)


def _fits_property(value: Any) -> bool:
    return isinstance(value, str) and len(value.encode()) <= _SHORT_STRING


def encode(body: Any) -> bytes:
    """A body as compact JSON. Raises PoisonMessage for what JSON cannot hold."""
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise PoisonMessage(f"the body cannot be written as JSON: {error}") from error
