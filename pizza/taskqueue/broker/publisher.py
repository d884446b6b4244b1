"""Publishing a batch with confirms: all are written, then all confirms are awaited.

One confirm at a time costs ten times as much (see docs/adr/0002).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import amqp
from amqp.exceptions import AMQPError

from pizza.taskqueue.broker.connection import Broker, broker_errors
from pizza.taskqueue.errors import BrokerUnavailable

CONFIRM_TIMEOUT_S = 8.0
_TICK_S = 1.0
# How long an exchange that is missing counts as missing before the broker is asked again.
_MISSING_S = 2.0

Outgoing = tuple[str, str, amqp.Message]


class Refusal(Enum):
    """Why the broker did not take a message."""

    NACKED = "RabbitMQ refused it"
    UNROUTABLE = "no queue is bound for it"
    NO_EXCHANGE = "its exchange does not exist"
    UNWRITABLE = "it cannot be written as an AMQP message"


class Publisher:
    """Owns the channel of a broker connection from its beginning (delivery tags start at 1).

    on_wait: called about every second while confirms are awaited. What it raises ends `publish`, so
        a publisher that has one may wait for as long as RabbitMQ takes no messages.
    """

    def __init__(self, broker: Broker, on_wait: Callable[[], None] | None = None) -> None:
        self._broker = broker
        self._on_wait = on_wait
        self._sent = 0
        self._open: set[int] = set()
        self._nacked: set[int] = set()
        self._returned: set[str] = set()
        self._exchanges: set[str] = set()
        self._missing: dict[str, float] = {}
        with broker_errors():
            broker.channel.confirm_select()
        events = broker.channel.events
        events["basic_ack"].add(self._on_ack)
        events["basic_nack"].add(self._on_nack)
        events["basic_return"].add(self._on_return)

    def publish(self, batch: Sequence[Outgoing]) -> list[Refusal | None]:
        """Publish (exchange, routing key, message) each; None where the broker took it over.

        With `on_wait` it waits for as long as RabbitMQ says that it takes no messages
        (`Broker.blocked`). Raises BrokerUnavailable when a confirm does not come in time otherwise;
        what became of the batch is unknown then.
        """
        refusals: list[Refusal | None] = [
            None if self._exists(exchange) else Refusal.NO_EXCHANGE for exchange, _, _ in batch
        ]
        tags: dict[int, int] = {}
        self._nacked.clear()
        self._returned.clear()
        with broker_errors(), self._broker.together():
            for index, each in enumerate(batch):
                if refusals[index] is None and not self._write(*each):
                    refusals[index] = Refusal.UNWRITABLE
                elif refusals[index] is None:
                    tags[index] = self._sent
        self._await_confirms()
        for index, tag in tags.items():
            if batch[index][2].properties["message_id"] in self._returned:
                refusals[index] = Refusal.UNROUTABLE
            elif tag in self._nacked:
                refusals[index] = Refusal.NACKED
        return refusals

    def forget_missing(self) -> None:
        """Ask again for exchanges that were missing: the topology has just been declared."""
        self._missing.clear()

    def _write(self, exchange: str, routing_key: str, message: amqp.Message) -> bool:
        """Write one message; False when py-amqp cannot, which it sees before it writes."""
        try:
            self._broker.channel.basic_publish(
                message, exchange=exchange, routing_key=routing_key, mandatory=True
            )
        except (AMQPError, OSError):
            raise
        except Exception:
            return False
        self._sent += 1
        self._open.add(self._sent)
        return True

    def _exists(self, exchange: str) -> bool:
        """Whether an exchange exists: publishing to a missing one would close the channel."""
        if exchange in self._exchanges:
            return True
        if time.monotonic() < self._missing.get(exchange, 0.0):
            return False
        if self._broker.exchange_exists(exchange):
            self._exchanges.add(exchange)
            return True
        self._missing[exchange] = time.monotonic() + _MISSING_S
        return False

    def _await_confirms(self) -> None:
        until = time.monotonic() + CONFIRM_TIMEOUT_S
        ticked = time.monotonic()
        while self._open:
            now = time.monotonic()
            if self._broker.blocked and self._on_wait is not None:
                until = now + CONFIRM_TIMEOUT_S
            if now >= until:
                raise BrokerUnavailable(f"RabbitMQ did not confirm within {CONFIRM_TIMEOUT_S:g} s")
            if now - ticked >= _TICK_S and self._on_wait is not None:
                ticked = now
                self._on_wait()
            self._broker.wait(min(_TICK_S, until - now))

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._open -= self._up_to(tag) if multiple else {tag}

    def _on_nack(self, tag: int, multiple: bool) -> None:
        nacked = self._up_to(tag) if multiple else {tag}
        self._open -= nacked
        self._nacked |= nacked

    def _up_to(self, tag: int) -> set[int]:
        return {each for each in self._open if each <= tag}

    def _on_return(self, _error: Any, _exchange: str, _routing_key: str, message: Any) -> None:
        self._returned.add(message.properties.get("message_id"))
