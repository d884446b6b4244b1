"""Messages as other programs write them: sound orders, bad ones, and odd properties.

RabbitMQ itself refuses a float header that is no number or infinite: it closes the connection.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import amqp

MILLISECONDS = 1_790_000_000_000  # Date.now(), where AMQP means seconds
_NUL, _SURROGATE, _NO_UTF8 = "a\0b", "a\ud800b", b"a\xff\xfeb"
_TEXTS = ("correlation_id", "reply_to", "message_id", "type", "app_id", "content_encoding")
_SMALL = 7


class UncheckedMessage(amqp.Message):
    """A message with bytes in its properties that py-amqp itself would not write.

    raw: byte strings of the written properties, each with its replacement of the same length.
    """

    raw: Mapping[bytes, bytes] = {}

    def _serialize_properties(self) -> bytes:
        written: bytes = super()._serialize_properties()
        for plain, odd in self.raw.items():
            assert plain in written and len(plain) == len(odd), plain
            written = written.replace(plain, odd)
        return written


@dataclass(frozen=True)
class Anomaly:
    """One odd thing about a message; what: for the report."""

    what: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[bytes, bytes] = field(default_factory=dict)

    def message(self, customer: str) -> amqp.Message:
        """A sound order for this customer, with the anomaly."""
        found = UncheckedMessage(order(customer), **self.properties)
        found.raw = self.raw
        return found


def order(customer: str, quantity: int = 1) -> bytes:
    """The body of an order message for one pizza; a quantity of 0 makes it a bad one."""
    return json.dumps(takeout_order(customer, quantity)).encode()


def takeout_order(customer: str, quantity: int = 1) -> dict[str, Any]:
    """The document of an order for one kind of pizza."""
    items = [{"name": "Margherita", "quantity": quantity, "price": 9.5}]
    return {"customer_name": customer, "order_type": "takeout", "items": items}


def customer_of(body: bytes) -> str | None:
    """The customer of such a body; None for any other."""
    try:
        return str(json.loads(body)["customer_name"])
    except (ValueError, KeyError, TypeError):
        return None


def _header(what: str, value: Any, raw: Mapping[bytes, bytes] | None = None) -> Anomaly:
    return Anomaly(f"header: {what}", {"application_headers": {"odd_key": value}}, raw or {})


def _named(name: str, value: Any) -> Anomaly:
    return Anomaly(f"header {name}={value!r}", {"application_headers": {name: value}})


ANOMALIES: tuple[Anomaly, ...] = (
    *(Anomaly(f"NUL in {name}", {name: _NUL}) for name in _TEXTS),
    *(Anomaly(f"lone surrogate in {name}", {name: _SURROGATE}) for name in _TEXTS),
    *(Anomaly(f"no UTF-8 in {name}", {name: _NO_UTF8}) for name in (*_TEXTS, "content_type")),
    Anomaly("timestamp in milliseconds", {"timestamp": MILLISECONDS}),
    Anomaly("priority 255", {"priority": 255}),
    Anomaly("message_id of 255 letters", {"message_id": "m" * 255}),
    Anomaly("content_encoding gzip, which it is not", {"content_encoding": "gzip"}),
    _header("timestamp in milliseconds", MILLISECONDS, {b"odd_keyL": b"odd_keyT"}),
    _header("timestamp", datetime(2026, 11, 25, tzinfo=UTC)),
    _header("16-bit number", _SMALL, {b"\7odd_keyI\0\0\0\7": b"\x09odd_key16s\0\7"}),
    _header("byte array", "bytes", {b"odd_keyS": b"odd_keyx"}),
    _header("no UTF-8", _NO_UTF8),
    _header("NUL", _NUL),
    _header("lone surrogate", _SURROGATE),
    _header("key without UTF-8", _SMALL, {b"odd_key": b"odd_\xff\xfe\xfd"}),
    _header("decimal", Decimal("1.5")),
    _header("nothing", None),
    _header("list", [1, [2, {"three": None}]]),
    _header("50 levels of tables", json.loads('{"in":' * 50 + "{}" + "}" * 50)),
    _named("task", _SMALL),
    _named("task", "cook_order"),
    _named("format", "newest"),
    _named("position", -(2**63)),
    _named("attempt", "first"),
    _named("traceparent", "00-no-trace"),
)
