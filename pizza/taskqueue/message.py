"""Messages on the wire: reads AMQP deliveries and writes rows of `message` as AMQP messages.

The body belongs to the application. The framework uses AMQP properties (message_id) and headers
(task, attempt, position, format), so any AMQP client can read and write messages. The header
`correlation_id` of a row becomes the property.

Strings from other programs are sanitized here: no string of a Delivery contains a NUL or a lone
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
SCHEMA_VERSION = "format"  # the header's name on the wire
DEAD_MESSAGE = "dead_message"
_MAX_DEPTH = 64
_SHORT_STRING = 255  # octets in an AMQP short string


@dataclass(frozen=True, slots=True)
class Delivery:
    """One AMQP delivery of a message to this worker, or a row that takes the place of one.

    delivery_tag: from 1; 0 for a delivery made from a row, which is not acknowledged.
    message_id: as sent; with a hash of its octets if it had to be sanitized.
    reply_to, correlation_id: from the AMQP property, otherwise from the header.
    undecodable: why properties or headers are missing, None if they are complete.
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

    @classmethod
    def from_amqp(cls, queue: str, message: Any) -> Delivery:
        """Read a py-amqp message, delivered from `queue`. No content of it makes this raise."""
        properties, info = message.properties, message.delivery_info
        undecodable: str | None = getattr(message, "undecodable", None)
        try:
            headers = _sanitized(properties.get("application_headers") or {}, _MAX_DEPTH)
        except RecursionError:
            headers, undecodable = {}, f"the headers are nested deeper than {_MAX_DEPTH} levels"
        body = message.body
        return cls(
            queue=queue,
            delivery_tag=info["delivery_tag"],
            redelivered=bool(info["redelivered"]),
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

    @classmethod
    def from_row(cls, row: Any) -> Delivery:
        """A delivery from a row (id, task, queue, priority, position, headers, body)."""
        id, task, queue, priority, position, headers, body = row
        headers = {**(headers or {}), "task": task, "position": position}
        return cls(
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

    @property
    def sort_key(self) -> tuple[int, int]:
        """Sorts deliveries by priority, highest first, then by age, oldest first."""
        position = self.headers.get("position")
        return -self.priority, position if isinstance(position, int) else 0

    @property
    def is_external(self) -> bool:
        """Whether another program published it: it lacks the headers that the relay writes."""
        return "task" not in self.headers

    @property
    def schema_version(self) -> int:
        """The schema version of the body; 1 if the message has none."""
        given = self.headers.get(SCHEMA_VERSION)
        return given if isinstance(given, int) and not isinstance(given, bool) else 1

    @property
    def reply_headers(self) -> dict[str, str]:
        """Where the sender wants the reply, if it said so, as headers of a row."""
        given = {REPLY_TO: self.reply_to, CORRELATION_ID: self.correlation_id}
        return {name: text for name, text in given.items() if text is not None}

    def check_decodable(self) -> None:
        """Raise PoisonMessage if properties or headers could not be decoded."""
        if self.undecodable is not None:
            raise PoisonMessage(self.undecodable)

    def id(self) -> UUID:
        """The message's id. Raises PoisonMessage if it has no UUID."""
        self.check_decodable()
        try:
            return UUID(self.message_id or "")
        except ValueError:
            raise PoisonMessage(f"message_id is {self.message_id!r}, not a UUID") from None

    @property
    def valid_id(self) -> UUID | None:
        """The message's id; None if it has no UUID or could not be decoded."""
        try:
            return self.id()
        except PoisonMessage:
            return None

    def task_name(self) -> str:
        """The name of its task. Raises PoisonMessage if the headers have none."""
        self.check_decodable()
        name = self.headers.get("task")
        if not isinstance(name, str):
            raise PoisonMessage("the message names no task in its headers")
        return name

    def json(self) -> Any:
        """The body as JSON. Raises PoisonMessage if it is not JSON."""
        self.check_decodable()
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise PoisonMessage(f"the body is not JSON: {str(error)[:200]}") from None


def sanitize_text(text: str) -> str:
    """Replace each NUL and lone surrogate by "?"; PostgreSQL's text and jsonb refuse them.

    The result is never longer than `text`.
    """
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "?").encode("utf-8", "replace").decode()


def _text(given: str | bytes | None) -> str | None:
    """A property, which is bytes where it was not UTF-8."""
    if given is None:
        return None
    return sanitize_text(utf8(given).decode() if isinstance(given, bytes) else given)


def _identity(given: str | bytes | None) -> str | None:
    """A sanitized message_id; a hash of its octets keeps two different ids different."""
    text = _text(given)
    if text is None or text == given:
        return text
    raw = given if isinstance(given, bytes) else (given or "").encode("utf-8", "surrogatepass")
    return f"{text[:40]}~{hashlib.sha256(raw).hexdigest()}"


def _address(given: str | bytes | None) -> str | None:
    """A queue's name; None for one that cannot be stored unchanged."""
    text = _text(given)
    return text if text == given else None


def _sanitized(value: Any, depth: int) -> Any:
    """A header's value, sanitized. Raises RecursionError if it is nested deeper than `depth`."""
    if isinstance(value, str):
        return sanitize_text(value)
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise RecursionError
    if isinstance(value, list):
        return [_sanitized(each, depth - 1) for each in value]
    return {_text(key) or "": _sanitized(each, depth - 1) for key, each in value.items()}


def _short_text(*candidates: Any) -> str | None:
    """The first candidate that is text and fits into an AMQP property."""
    return next((each for each in candidates if _fits_property(each)), None)


def to_amqp(row: Any) -> amqp.Message:
    """The AMQP message for a row of `message`, which has the columns of the query `pending`."""
    application_headers = dict(row.headers) if row.headers else {}
    properties = {}
    if _fits_property(application_headers.get(CORRELATION_ID)):
        properties[CORRELATION_ID] = application_headers.pop(CORRELATION_ID)
    if row.task is not None:
        application_headers |= {
            "task": row.task,
            "attempt": row.attempt + 1,
            "position": row.position,
        }
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
    """The row's id; for a copy of a dead message, the id of that dead message."""
    copied = (row.headers or {}).get(DEAD_MESSAGE) if row.task is None else None
    return copied if isinstance(copied, str) and _fits_property(copied) else str(row.id)


def _fits_property(value: Any) -> bool:
    return isinstance(value, str) and len(value.encode()) <= _SHORT_STRING


def encode(body: Any) -> bytes:
    """A body as compact JSON. Raises PoisonMessage if JSON cannot represent it."""
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise PoisonMessage(f"the body cannot be written as JSON: {error}") from error
