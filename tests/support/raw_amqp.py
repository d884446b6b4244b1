"""Messages as other programs may write them: content headers encoded by hand, value by value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import pack
from typing import Any

import amqp
import kombu
from amqp.exceptions import AMQPError
from hypothesis import strategies as st

PROPERTIES = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id",
    "reply_to", "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip
TEXTS = [
    name
    for name in PROPERTIES
    if name not in ("headers", "delivery_mode", "priority", "timestamp", "expiration", "user_id")
]

# What a program may take for text: NUL, no UTF-8, a lone surrogate, the longest there is.
ODD_TEXTS = [b"", b"a\x00b", b"\x00", b"\xff", b"\xed\xa0\x80", "é".encode() * 127, b"x" * 255]

_LONG_TEXT = b"S\x00\x00\x01\x2c" + b"y" * 300
_MILLISECONDS = pack(">Q", 1_790_000_000_000)  # JavaScript's Date.now()

# Values of all types that a table may have, each behind the letter of its type. (RabbitMQ refuses
# U, unknown letters, and a float that is no number.)
VALUES = [
    b"t\x00", b"t\x01", b"t\x02", b"b\xff", b"B\xff", b"s\x80\x00", b"u\xff\xff", b"U\x80\x00",
    b"I\x80\x00\x00\x00", b"i\xff\xff\xff\xff", b"l\x80" + bytes(7), b"l\x7f" + b"\xff" * 7,
    b"L\xff" + b"\xff" * 7, b"f\x7f\x80\x00\x00", b"f\x00\x00\x00\x01", b"d\x7f\xf0" + bytes(6),
    b"d\x7f\xef" + b"\xff" * 6, b"D\xff\x80\x00\x00\x00", b"D\x00\x00\x00\x00\x01",
    b"T" + bytes(8), b"T" + _MILLISECONDS, b"T" + b"\xff" * 8, b"V", b"x\x00\x00\x00\x02\xff\x00",
    b"Z", *(b"S" + pack(">I", len(text)) + text for text in ODD_TEXTS),
]  # fmt: skip


def table(*entries: tuple[bytes, bytes]) -> bytes:
    """A table of keys and values, behind its length."""
    data = b"".join(bytes([len(key)]) + key + value for key, value in entries)
    return pack(">I", len(data)) + data


def array(*values: bytes) -> bytes:
    """A value of type A."""
    data = b"".join(values)
    return b"A" + pack(">I", len(data)) + data


def nested(depth: int) -> bytes:
    """A table with a table in it, and so on."""
    found = table()
    for _ in range(depth):
        found = table((b"n", b"F" + found))
    return found


def properties(**values: bytes) -> bytes:
    """The flags and the values of a content header; texts as they are, the others encoded."""
    flags, parts = 0, []
    for position, name in enumerate(PROPERTIES):
        if name in values:
            flags |= 0x8000 >> position
            text = name in TEXTS or name in ("expiration", "user_id")
            parts.append((bytes([len(values[name])]) if text else b"") + values[name])
    return pack(">H", flags) + b"".join(parts)


class RawMessage(amqp.Message):
    """A message with a body and properties as encoded by `properties`."""

    def __init__(self, body: bytes, encoded: bytes) -> None:
        super().__init__(body)
        self.encoded = encoded

    def _serialize_properties(self) -> bytes:
        return self.encoded


_SOME_VALUES = [
    b"V", b"T" + _MILLISECONDS, b"T" + pack(">Q", 1_790_000_000), b"I\x00\x00\x00\x07", _LONG_TEXT,
    b"F" + table((b"\xff", b"V")), b"x\x00\x00\x00\x01\xff", b"D\x02\x00\x00\x00\x07",
]  # fmt: skip


def header_values() -> Iterator[bytes]:
    """Tables: each type of value as a header, in a table in it, in an array; and odd keys."""
    for value in VALUES:
        yield table((b"h", value))
        yield table((b"h", b"F" + table((b"in", value))))
        yield table((b"h", array(value, value)))
    for key in (b"", b"\xff", b"task\x00", b"\x00", b"k" * 255, b"reason", b"queue", b"attempt",
                b"self", b"correlation_id", b"message_id", b"position", b"format", b"needs",
                b"traceparent", b"died_at", b"died_in", b"task"):  # fmt: skip
        yield from (table((key, value)) for value in _SOME_VALUES)
    yield from (nested(depth) for depth in (60, 70, 900, 20_000))
    yield table(*((b"%d" % n, array(*[b"b\x01"] * 250)) for n in range(220)))  # 110 KB


def all_properties() -> Iterator[dict[str, bytes]]:
    """One content header after the other, each with something odd in it."""
    for name in TEXTS:
        yield from ({name: text} for text in ODD_TEXTS)
    for octet in (0, 1, 2, 9, 10, 255):
        yield {"priority": bytes([octet])}
        yield {"delivery_mode": bytes([octet])}
    for stamp in (bytes(8), _MILLISECONDS, b"\xff" * 8):
        yield {"timestamp": stamp}
    for text in (b"60000", b"4294967295", b"soon", b"-1", b"\xff"):
        yield {"expiration": text}
    for user in (b"guest", b"root", b"\xff"):
        yield {"user_id": user}
    yield from ({"headers": headers} for headers in header_values())
    yield dict.fromkeys(TEXTS, b"\xff") | {"headers": table((b"h", b"T" + b"\xff" * 8))}


# -- drawn by hypothesis ---------------------------------------------------------------------

_texts = st.one_of(st.sampled_from(ODD_TEXTS), st.binary(max_size=255))
_scalars = st.one_of(
    st.sampled_from(VALUES),
    _texts.map(lambda text: b"S" + pack(">I", len(text)) + text),
    _texts.map(lambda text: b"x" + pack(">I", len(text)) + text),
    st.binary(min_size=8, max_size=8).map(lambda raw: b"T" + raw),
    st.binary(min_size=8, max_size=8).map(lambda raw: b"l" + raw),
    st.binary(min_size=5, max_size=5).map(lambda raw: b"D" + raw),
)
_tables = st.deferred(
    lambda: st.lists(st.tuples(st.binary(max_size=20), _values), max_size=4).map(
        lambda entries: table(*entries)
    )
)
_values: Any = st.deferred(
    lambda: st.one_of(
        _scalars,
        _tables.map(lambda inner: b"F" + inner),
        st.lists(_values, max_size=4).map(lambda inner: array(*inner)),
    )
)
drawn_properties = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(TEXTS, _texts)
    | {
        "headers": _tables,
        "priority": st.binary(min_size=1, max_size=1),
        "delivery_mode": st.sampled_from([b"\x01", b"\x02"]),
        "timestamp": st.binary(min_size=8, max_size=8),
    },
)


def publish(
    url: str, messages: Iterable[tuple[bytes, bytes]], exchange: str, routing_key: str | bytes
) -> list[bytes]:
    """Publish (body, encoded properties) each; the bodies of those that RabbitMQ accepted."""
    accepted, channel = [], None
    for body, encoded in messages:
        if channel is None:
            channel = _confirming(url)
        try:
            channel.basic_publish_confirm(RawMessage(body, encoded), exchange, routing_key)
        except (AMQPError, UnicodeDecodeError):  # py-amqp cannot read all refusals either
            channel = None
        else:
            accepted.append(body)
    if channel is not None:
        channel.connection.close()
    return accepted


def _confirming(url: str) -> Any:
    connection = kombu.Connection(url, connect_timeout=5).transport.establish_connection()
    channel = connection.channel()
    channel.confirm_select()
    return channel
