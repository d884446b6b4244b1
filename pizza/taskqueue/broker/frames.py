"""Reads the frames of a broker connection, also those with properties that cannot be decoded.

py-amqp decodes properties and routing keys while it reads a frame. A value that it cannot decode
raises an error there, as if the connection were lost; the message is redelivered and the next
connection fails in the same way. Here such a message is delivered with its body, and its attribute
`undecodable` is the reason why properties are missing.
"""

import time
from collections.abc import Callable
from struct import error as StructError  # noqa: N812
from struct import unpack_from
from typing import Any

import amqp
from amqp import spec
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic

_HEADER_FRAME = 2
_FIXED_SIZE = 12  # class, weight and body size precede the properties
_NO_PROPERTIES = b"\x00\x00"

# Arguments of the methods that carry names or texts which other programs have chosen.
# Kinds as in py-amqp: s short string, b and o octets, B, l and L integers, F table.
_ARGUMENTS = {
    spec.Basic.Deliver: "sLbss",
    spec.Basic.GetOk: "Lbssl",
    spec.Basic.Return: "Bsss",
    spec.Basic.Cancel: "s",
    spec.Channel.Close: "BsBB",
    spec.Connection.Close: "BsBB",
}
_WIDTHS = {"b": 1, "o": 1, "B": 2, "l": 4, "L": 8}

Frame = tuple[int, int, bytes]


class FrameReader:
    """A frame handler for one amqp.Connection (its parameter `frame_handler`).

    last_at: when the last frame was read, heartbeats included, by time.monotonic().
    """

    def __init__(self) -> None:
        self.last_at = time.monotonic()

    def __call__(
        self, connection: Any, on_method: Callable[[int, Any, bytes, Any], Any]
    ) -> Callable[[Frame], bool]:
        """Called by py-amqp when it connects; returns what it calls with each frame."""
        decoded: dict[int, tuple[dict[str, Any], str | None]] = {}

        def on_content(channel: int, method: Any, arguments: bytes, content: Any) -> None:
            if content is not None:
                content.properties, reason = decoded.pop(channel)
                if reason is not None:
                    content.undecodable = reason
            on_method(channel, method, decodable_arguments(method, arguments), content)

        handle: Callable[[Frame], bool] = frame_handler(connection, on_content)

        def on_frame(frame: Frame) -> bool:
            self.last_at = time.monotonic()
            kind, channel, payload = frame
            if kind == _HEADER_FRAME:
                decoded[channel] = decode_properties(payload)
                frame = kind, channel, payload[:_FIXED_SIZE] + _NO_PROPERTIES
            return handle(frame)

        return on_frame


def decode_properties(payload: bytes) -> tuple[dict[str, Any], str | None]:
    """The properties of a content header, and None; or the readable ones, and the reason."""
    try:
        return decode_properties_basic(payload, _FIXED_SIZE)[0], None
    except Exception as error:  # any kind: the decoder was written for well-formed input
        reason = f"the properties cannot be decoded: {type(error).__name__}: {error}"
        return _readable_properties(payload), reason[:300]


def _readable_properties(payload: bytes) -> dict[str, Any]:
    """All but the headers, up to the first invalid one; bytes for what is not UTF-8."""
    found: dict[str, Any] = {}
    try:
        (flags,) = unpack_from(">H", payload, _FIXED_SIZE)
        offset = _FIXED_SIZE + 2
        for position, (name, kind) in enumerate(amqp.Message.PROPERTIES):
            if not flags & (0x8000 >> position):
                continue
            start, end = _extent(kind, payload, offset)
            if end > len(payload):
                break
            value = payload[start:end]
            offset = end
            if kind != "F":
                found[name] = _text(value) if kind == "s" else int.from_bytes(value)
    except StructError:
        pass
    return found


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _extent(kind: str, payload: bytes, offset: int) -> tuple[int, int]:
    """Where the value at `offset` begins and ends. Raises struct.error past the end."""
    if kind == "s":
        return offset + 1, offset + 1 + int(unpack_from(">B", payload, offset)[0])
    if kind == "F":
        return offset + 4, offset + 4 + int(unpack_from(">I", payload, offset)[0])
    return offset, offset + _WIDTHS[kind]


def decodable_arguments(method: Any, payload: bytes) -> bytes:
    """The payload of a method frame, with "?" for octets of its strings that are not UTF-8."""
    kinds = _ARGUMENTS.get(method)
    if kinds is None or payload.isascii():
        return payload
    parts, offset = [payload[:4]], 4
    for kind in kinds:
        start, end = _extent(kind, payload, offset)
        part = payload[start:end]
        if kind == "s":
            part = utf8(part)
            parts.append(bytes([len(part)]))
        parts.append(part)
        offset = end
    return b"".join(parts)


def utf8(raw: bytes) -> bytes:
    """The octets with "?" where they are not UTF-8; never longer."""
    return raw.decode("utf-8", "replace").replace("\ufffd", "?").encode()
