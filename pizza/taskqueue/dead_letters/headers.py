"""Writes dead letters: the unchanged body, and headers with the reason."""

from __future__ import annotations

import hashlib
import json
import math
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import amqp
import psycopg
from psycopg.types.json import Jsonb

from pizza.database.queries import Queries
from pizza.taskqueue.message import CONTENT_TYPE, PERSISTENT, Delivery, sanitize_text
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE

# Limit for the headers of other programs in a dead letter, in octets of JSON. All headers must fit
# into one AMQP frame (128 KB), where they may take three times as much.
_MAX_HEADER_BYTES = 32_768

_DEAD_LETTER_RAW = Queries("taskqueue/messages").dead_letter_raw


@dataclass(frozen=True, slots=True)
class OutgoingDeadLetter:
    """A dead letter to be written: the unchanged body, and headers with the reason.

    id: of its row, the same for each delivery of the message in this queue; None: a new one.
    """

    queue: str
    body: bytes
    headers: dict[str, Any]
    id: UUID | None = None
    traceback: str | None = None

    @classmethod
    def from_delivery(
        cls, delivery: Delivery, reason: str, *, attempt: int, error: BaseException | None = None
    ) -> OutgoingDeadLetter:
        """The dead letter of a delivery. error: its traceback is stored with the row."""
        more = kept_headers(delivery) | {"attempt": attempt}
        headers = error_headers(delivery.queue, reason, **more)
        id = None
        if delivery.message_id is not None:
            headers["message_id"] = delivery.message_id
            id = derived_id(delivery.queue, delivery)
        stack = traceback_text(error) if error is not None else None
        return cls(delivery.queue, delivery.body, headers, id, stack)

    def write_to_outbox(self, conn: psycopg.Connection[Any]) -> None:
        """Write the row and its copy for the dead-letter queue, in the caller's transaction."""
        conn.execute(
            _DEAD_LETTER_RAW,
            {
                "exchange": DEAD_LETTER_EXCHANGE,
                "routing_key": self.queue,
                "body": self.body,
                "headers": Jsonb(self.headers),
                "id": self.id,
                "traceback": self.traceback,
            },
        )

    def to_amqp(self) -> tuple[str, str, amqp.Message]:
        """Exchange, routing key and message for a Publisher of a process without a database."""
        message = amqp.Message(
            self.body,
            content_type=CONTENT_TYPE,
            delivery_mode=PERSISTENT,
            message_id=str(uuid4()),
            application_headers=self.headers,
        )
        return DEAD_LETTER_EXCHANGE, self.queue, message


def derived_id(queue: object, delivery: Delivery) -> UUID:
    """The same id for each delivery of a message. queue: the one in which it died."""
    body = hashlib.sha256(delivery.body).hexdigest()
    return uuid5(NAMESPACE_OID, f"{queue}/{delivery.message_id}/{body}")


def kept_headers(delivery: Delivery) -> dict[str, Any]:
    """The JSON-safe headers of a delivery, with reply_to and correlation_id of its properties.

    A row has no columns for those two; with the headers a retried message is still answered.
    """
    return delivery.reply_headers | json_safe_headers(delivery.headers)


def traceback_text(error: BaseException) -> str:
    """The traceback of an error, at most its last 20,000 characters."""
    return sanitize_text("".join(traceback.format_exception(error)))[-20_000:]


def error_headers(queue: str, reason: str, /, **more: Any) -> dict[str, Any]:
    """Headers of a dead letter: reason (up to 1,000 characters), died_in (queue), died_at (UTC).

    more: further headers, of any name; these three take precedence.
    """
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**more, "reason": sanitize_text(reason)[:1000], "died_in": queue, "died_at": at}


def json_safe_headers(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers of a Delivery that JSON can hold (no bytes, decimals or times).

    Headers that would make the dead letter too large for RabbitMQ are left out.
    """
    kept, left = {}, _MAX_HEADER_BYTES
    for name, value in _json_safe(headers).items():
        size = len(name.encode()) + len(json.dumps(value))
        if size <= left:
            kept[name] = value
            left -= size
    return kept


def _json_safe(value: Any) -> Any:
    if isinstance(value, float) and abs(value) >= 2**63:
        return str(value)  # jsonb would make it an integer, too large for an AMQP table
    if isinstance(value, list):
        return [_json_safe(each) for each in value if _is_json_safe(each)]
    if isinstance(value, dict):
        return {key: _json_safe(each) for key, each in value.items() if _is_json_safe(each)}
    return value


def _is_json_safe(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | bool | int | list | dict)
