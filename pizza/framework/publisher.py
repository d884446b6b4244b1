"""Publishing a batch with confirms: all are written, then all confirms are awaited.

One confirm at a time costs ten times as much (see docs/adr/0002).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import amqp

from pizza.framework.broker import Broker, broker_errors
from pizza.framework.errors import BrokerUnavailable

CONFIRM_TIMEOUT_S = 8.0

Outgoing = tuple[str, str, amqp.Message]


class Publisher:
    """Owns the channel of a broker connection from its beginning (delivery tags start at 1)."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sent = 0
        self._open: set[int] = set()
        self._refused: set[int] = set()
        self._returned: set[str] = set()
        with broker_errors():
            broker.channel.confirm_select()
        events = broker.channel.events
        events["basic_ack"].add(self._on_ack)
        events["basic_nack"].add(self._on_nack)
        events["basic_return"].add(self._on_return)

    def publish(self, batch: Sequence[Outgoing]) -> list[bool]:
        """Publish (exchange, routing key, message) each; True where the broker took it over.

        False: refused (nack), or no queue would take it (return). Raises BrokerUnavailable
        when a confirm does not come in time; what became of the batch is unknown then.
        """
        first = self._sent + 1
        self._refused.clear()
        self._returned.clear()
        with broker_errors(), self._broker.together():
            for exchange, routing_key, message in batch:
                self._sent += 1
                self._open.add(self._sent)
                self._broker.channel.basic_publish(
                    message, exchange=exchange, routing_key=routing_key, mandatory=True
                )
        self._await_confirms()
        return [
            first + index not in self._refused
            and each[2].properties["message_id"] not in self._returned
            for index, each in enumerate(batch)
        ]

    def _await_confirms(self) -> None:
        until = time.monotonic() + CONFIRM_TIMEOUT_S
        while self._open:
            left = until - time.monotonic()
            if left <= 0:
                raise BrokerUnavailable(f"RabbitMQ did not confirm within {CONFIRM_TIMEOUT_S:g} s")
            self._broker.wait(left)

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._open -= self._up_to(tag) if multiple else {tag}

    def _on_nack(self, tag: int, multiple: bool) -> None:
        refused = self._up_to(tag) if multiple else {tag}
        self._open -= refused
        self._refused |= refused

    def _up_to(self, tag: int) -> set[int]:
        return {each for each in self._open if each <= tag}

    def _on_return(self, _error: Any, _exchange: str, _routing_key: str, message: Any) -> None:
        self._returned.add(message.properties.get("message_id"))
