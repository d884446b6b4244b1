"""What is said of a message on its way to the dead letters, in headers that any client can read."""

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
from pizza.taskqueue.message import (
    CONTENT_TYPE,
    CORRELATION_ID,
    PERSISTENT,
    REPLY_TO,
    Delivery,
    sanitize_text,
)
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE

__all__ = ["Letter", "dead_letter", "epitaph", "plain", "sanitize_text", "traceback_text"]

# Headers of another program that a dead letter keeps, in octets of JSON. All headers of a message
# have to fit into one frame (128 KB), and may take three times as much there.
_HEADERS_KEPT = 32_768

_DEAD_LETTER_RAW = Queries("taskqueue/messages").dead_letter_raw


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it came, with the reason of its end in its headers.

    id: of its row, the same for every delivery of the message in this queue; None: any.
    """

    queue: str
    body: bytes
    headers: dict[str, Any]
    id: UUID | None = None
    traceback: str | None = None

    def write(self, conn: psycopg.Connection[Any]) -> None:
        """Send it with the caller's transaction, through the outbox."""
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

    def outgoing(self) -> tuple[str, str, amqp.Message]:
        """For a Publisher, where there is no database: exchange, routing key, message."""
        message = amqp.Message(
            self.body,
            content_type=CONTENT_TYPE,
            delivery_mode=PERSISTENT,
            message_id=str(uuid4()),
            application_headers=self.headers,
        )
        return DEAD_LETTER_EXCHANGE, self.queue, message


def dead_letter(
    delivery: Delivery, reason: str, *, error: BaseException | None = None, **more: Any
) -> Letter:
    """The dead letter of a delivery; `more` are further headers. error: what it died of."""
    headers = epitaph(delivery.queue, reason, **(kept_headers(delivery) | more))
    id = None
    if delivery.message_id is not None:
        headers["message_id"] = delivery.message_id
        body = hashlib.sha256(delivery.body).hexdigest()
        id = uuid5(NAMESPACE_OID, f"{delivery.queue}/{delivery.message_id}/{body}")
    stack = traceback_text(error) if error is not None else None
    return Letter(delivery.queue, delivery.body, headers, id, stack)


def kept_headers(delivery: Delivery) -> dict[str, Any]:
    """The headers of a delivery, as `plain` has them, and where its sender waits for an answer.

    That may be in properties, which a row has no place for. Sent again, the message is answered.
    """
    sender = {REPLY_TO: delivery.reply_to, CORRELATION_ID: delivery.correlation_id}
    waiting = {name: text for name, text in sender.items() if text is not None}
    return waiting | plain(delivery.headers)


def traceback_text(error: BaseException) -> str:
    """The stack of an error, at most its last 20,000 characters."""
    return sanitize_text("".join(traceback.format_exception(error)))[-20_000:]


def epitaph(queue: str, reason: str, /, **more: Any) -> dict[str, Any]:
    """The headers of a dead letter: why it died (up to 1,000 characters), where, when (UTC).

    more: further headers, of any name; these three take precedence.
    """
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**more, "reason": sanitize_text(reason)[:1000], "died_in": queue, "died_at": at}


def plain(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers that can be kept as they are (JSON knows no bytes, decimals or times).

    Those that would make the dead letter too large for RabbitMQ are left out.
    """
    kept, left = {}, _HEADERS_KEPT
    for name, value in _plain(headers).items():
        size = len(name.encode()) + len(json.dumps(value))
        if size <= left:
            kept[name] = value
            left -= size
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize_text(value)
    if isinstance(value, float) and abs(value) >= 2**63:
        return str(value)  # jsonb would make it an integer, too large for an AMQP table
    if isinstance(value, list):
        return [_plain(each) for each in value if _keeps(each)]
    if isinstance(value, dict):
        return {sanitize_text(key): _plain(each) for key, each in value.items() if _keeps(each)}
    return value


def _keeps(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | bool | int | list | dict)
