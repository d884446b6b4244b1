"""What is said of a message on its way to the dead letters, in headers that any client can read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import amqp
import psycopg
from psycopg.types.json import Jsonb

from pizza.database.queries import Queries
from pizza.framework.message import CONTENT_TYPE, PERSISTENT, Ticket
from pizza.framework.topology import DEAD_LETTER_EXCHANGE

_BURY_RAW = Queries("framework").bury_raw


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it came, with the reason of its end in its headers."""

    queue: str
    body: bytes
    headers: dict[str, Any]

    def write(self, conn: psycopg.Connection[Any]) -> None:
        """Send it with the caller's transaction, through the outbox."""
        conn.execute(
            _BURY_RAW,
            {
                "exchange": DEAD_LETTER_EXCHANGE,
                "routing_key": self.queue,
                "body": self.body,
                "headers": Jsonb(self.headers),
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


def dead_letter(ticket: Ticket, reason: str, **more: Any) -> Letter:
    """The dead letter of a delivery; `more` are further headers."""
    headers = epitaph(ticket.queue, reason, **plain(ticket.headers), **more)
    if ticket.message_id is not None:
        headers["message_id"] = clean(ticket.message_id)
    return Letter(ticket.queue, ticket.body, headers)


def epitaph(queue: str, reason: str, **more: Any) -> dict[str, Any]:
    """The headers of a dead letter: why it died (up to 1,000 characters), where, when (UTC)."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**more, "reason": clean(reason)[:1000], "died_in": queue, "died_at": at}


def plain(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers that can be kept as they are (JSON knows no bytes, decimals or times)."""
    return {clean(key): _plain(value) for key, value in headers.items() if _keeps(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_plain(each) for each in value if _keeps(each)]
    return plain(value) if isinstance(value, dict) else value


def _keeps(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | bool | int | list | dict)


def clean(text: str) -> str:
    """What jsonb can hold: no NUL, no lone surrogate."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
