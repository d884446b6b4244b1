"""A tap on an exchange: a queue of the test's own that keeps a copy of all that passes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import kombu

from .conditions import eventually


@dataclass(frozen=True)
class Copy:
    """One message: its JSON body, its routing key, its AMQP properties."""

    body: dict[str, Any]
    routing_key: str
    properties: dict[str, Any]


class AmqpTap:
    """Open from construction to `close`; `seen` grows whenever somebody looks."""

    def __init__(self, broker_url: str, exchange: str, routing_key: str = "") -> None:
        self.seen: list[Copy] = []
        self._link = kombu.Connection(broker_url)
        self._channel = self._link.channel()
        self._queue = self._channel.queue_declare("", exclusive=True, auto_delete=True).queue
        self._channel.queue_bind(self._queue, exchange, routing_key)

    def look(self) -> list[Copy]:
        """All messages so far, in the order of their arrival."""
        while message := self._channel.basic_get(self._queue, no_ack=True):
            self.seen.append(
                Copy(
                    json.loads(message.body),
                    message.delivery_info["routing_key"],
                    message.properties,
                )
            )
        return self.seen

    def of(self, number: str) -> list[Copy]:
        """Those about one order."""
        return [copy for copy in self.look() if copy.body["order_number"] == number]

    def wait_for(self, number: str, count: int, seconds: float = 5.0) -> list[Copy]:
        """Wait until `count` messages about an order have passed."""
        what = f"{count} messages about {number}"
        eventually(lambda: len(self.of(number)) >= count, seconds, what)
        return self.of(number)

    def close(self) -> None:
        """Let go of the queue."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
