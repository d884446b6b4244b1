"""Publishes a batch with confirms: all messages are written, then all confirms are awaited.

One confirm at a time costs ten times as much (see docs/adr/0002).
"""

import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import amqp
from amqp.exceptions import AMQPError

from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.broker.errors import translate_amqp_errors
from pizza.taskqueue.errors import BrokerUnavailable

CONFIRM_TIMEOUT_S = 8.0
_TICK_S = 1.0
# A missing exchange is checked again after this time.
_MISSING_TTL_S = 2.0

Outgoing = tuple[str, str, amqp.Message]


class Refusal(Enum):
    """Why the broker did not accept a message."""

    NACKED = "RabbitMQ refused it"
    UNROUTABLE = "no queue is bound for it"
    NO_EXCHANGE = "its exchange does not exist"
    UNWRITABLE = "it cannot be written as an AMQP message"


class Publisher:
    """Publishes on the channel of a new broker connection (delivery tags start at 1).

    on_wait: called about every second while confirms are awaited. An exception of it ends
        `publish`. Therefore a publisher with `on_wait` waits while RabbitMQ blocks the connection.
    """

    def __init__(self, broker: BrokerConnection, on_wait: Callable[[], None] | None = None) -> None:
        self._broker = broker
        self._on_wait = on_wait
        self._last_tag = 0
        self._unconfirmed: set[int] = set()
        self._nacked: set[int] = set()
        self._returned: set[str] = set()
        self._exchanges: set[str] = set()
        self._missing_until: dict[str, float] = {}
        with translate_amqp_errors():
            broker.channel.confirm_select()
        events = broker.channel.events
        events["basic_ack"].add(self._on_ack)
        events["basic_nack"].add(self._on_nack)
        events["basic_return"].add(self._on_return)

    def publish(self, batch: Sequence[Outgoing]) -> list[Refusal | None]:
        """Publish (exchange, routing key, message) tuples. Returns None for each confirmed one.

        With `on_wait` it waits while the connection is blocked (`BrokerConnection.blocked`). Raises
        BrokerUnavailable when a confirm is late otherwise: the batch may be published or not.
        """
        refusals: list[Refusal | None] = [
            None if self._exchange_exists(exchange) else Refusal.NO_EXCHANGE
            for exchange, _, _ in batch
        ]
        tags: dict[int, int] = {}
        self._nacked.clear()
        self._returned.clear()
        with translate_amqp_errors(), self._broker.corked():
            for index, each in enumerate(batch):
                if refusals[index] is None and not self._write_message(*each):
                    refusals[index] = Refusal.UNWRITABLE
                elif refusals[index] is None:
                    tags[index] = self._last_tag
        self._await_confirms()
        for index, tag in tags.items():
            if batch[index][2].properties["message_id"] in self._returned:
                refusals[index] = Refusal.UNROUTABLE
            elif tag in self._nacked:
                refusals[index] = Refusal.NACKED
        return refusals

    def forget_missing(self) -> None:
        """Check missing exchanges again at the next publish, after a declaration."""
        self._missing_until.clear()

    def _write_message(self, exchange: str, routing_key: str, message: amqp.Message) -> bool:
        """Write one message; False when py-amqp cannot encode it (nothing is written then)."""
        try:
            self._broker.channel.basic_publish(
                message, exchange=exchange, routing_key=routing_key, mandatory=True
            )
        except (AMQPError, OSError):
            raise
        except Exception:
            return False
        self._last_tag += 1
        self._unconfirmed.add(self._last_tag)
        return True

    def _exchange_exists(self, exchange: str) -> bool:
        """Whether an exchange exists: publishing to a missing one would close the channel."""
        if exchange in self._exchanges:
            return True
        if time.monotonic() < self._missing_until.get(exchange, 0.0):
            return False
        if self._broker.exchange_exists(exchange):
            self._exchanges.add(exchange)
            return True
        self._missing_until[exchange] = time.monotonic() + _MISSING_TTL_S
        return False

    def _await_confirms(self) -> None:
        until = time.monotonic() + CONFIRM_TIMEOUT_S
        ticked = time.monotonic()
        while self._unconfirmed:
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
        self._unconfirmed -= self._up_to(tag) if multiple else {tag}

    def _on_nack(self, tag: int, multiple: bool) -> None:
        nacked = self._up_to(tag) if multiple else {tag}
        self._unconfirmed -= nacked
        self._nacked |= nacked

    def _up_to(self, tag: int) -> set[int]:
        return {each for each in self._unconfirmed if each <= tag}

    def _on_return(self, _error: Any, _exchange: str, _routing_key: str, message: Any) -> None:
        self._returned.add(message.properties.get("message_id"))
