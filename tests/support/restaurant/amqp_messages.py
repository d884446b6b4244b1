"""Messages from outside: hand-made notifications, status requests with answers, dead letters."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import amqp
import kombu

from .conditions import eventually


def notification(number: str, sequence: int, new: str = "cooking", **fields: Any) -> dict[str, Any]:
    """A notification such as the restaurant sends."""
    return {
        "order_number": number,
        "old_status": "received",
        "new_status": new,
        "changed_by": "somebody",
        "timestamp": "2024-12-16T10:32:00Z",
        "estimated_completion": None,
        "event_id": str(uuid4()),
        "sequence": sequence,
        "customer_name": "John Doe",
        **fields,
    }


class AmqpClient:
    """A client of the broker, with a queue of its own for answers."""

    def __init__(self, broker_url: str) -> None:
        self._link = kombu.Connection(broker_url)
        self._channel = self._link.channel()
        self._answers = self._channel.queue_declare("", exclusive=True).queue

    def notify(self, *bodies: Any) -> None:
        """Publish notifications, past the restaurant."""
        for body in bodies:
            text = body if isinstance(body, bytes) else json.dumps(body)
            self._channel.basic_publish(amqp.Message(text), "notifications_fanout", "")

    def ask(self, body: Any, message_id: str | None = None) -> amqp.Message | None:
        """Request a status by message; the answer, None when none comes in time."""
        correlation = str(uuid4())
        message = amqp.Message(
            body if isinstance(body, bytes) else json.dumps(body),
            reply_to=self._answers,
            correlation_id=correlation,
            **({"message_id": message_id} if message_id else {}),
        )
        self._channel.basic_publish(message, "orders_direct", "tracking.status")
        answer = eventually(
            lambda: self._channel.basic_get(self._answers, no_ack=True), 10, f"an answer to {body}"
        )
        assert answer.properties["correlation_id"] == correlation
        return json.loads(answer.body)

    def tell(self, body: bytes) -> None:
        """Send a status request, whatever it is, and wait for no answer."""
        self._channel.basic_publish(amqp.Message(body), "orders_direct", "tracking.status")

    def dead_letter(self) -> tuple[Any, dict[str, Any]]:
        """The next dead letter: its body, its headers."""
        letter = eventually(
            lambda: self._channel.basic_get("dead_letter_queue", no_ack=True), 10, "a dead letter"
        )
        return letter.body, letter.properties["application_headers"]

    def close(self) -> None:
        self._link.close()
