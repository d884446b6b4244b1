"""Messages of other programs raise no error while a frame is read, and are sanitised."""

from __future__ import annotations

import json
import time
from struct import pack
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from amqp import spec
from amqp.serialization import dumps
from hypothesis import given, settings
from hypothesis import strategies as st

from pizza.taskqueue.broker.frames import FrameReader
from pizza.taskqueue.dead_letters.headers import OutgoingDeadLetter
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.subscriber.event import parse_event

from ...support.raw_amqp import all_properties, drawn_properties, nested, properties, table

FRAME_MAX = 131_072
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8


class Line:
    """One connection's frame handler, and what it hands over."""

    def __init__(self) -> None:
        self.connection = SimpleNamespace(bytes_recv=0)
        self.reader = FrameReader()
        self.arrived: list[tuple[Any, bytes, Any]] = []
        self._handle = self.reader(
            self.connection, lambda _channel, *rest: self.arrived.append(rest)
        )

    def method(self, method: tuple[int, int], arguments: bytes, channel: int = 1) -> None:
        self._handle((METHOD, channel, pack(">HH", *method) + arguments))

    def deliver(
        self, encoded: bytes, body: bytes = b"{}", *, key: bytes = b"k", channel: int = 1
    ) -> Any:
        """One message, as three frames; what py-amqp would hand to a consumer."""
        before = len(self.arrived)
        self.method(spec.Basic.Deliver, dumps("sLbss", ("tag", 200, False, "e", key)), channel)
        self.content(encoded, body, channel)
        (arrived,) = self.arrived[before:]
        method, arguments, message = arrived
        assert method == spec.Basic.Deliver
        _, tag, redelivered, exchange, routing_key = amqp.serialization.loads(
            "sLbss", arguments, 4
        )[0]
        message.delivery_info = {
            "delivery_tag": tag,
            "redelivered": redelivered,
            "exchange": exchange,
            "routing_key": routing_key,
        }
        return message

    def content(self, encoded: bytes, body: bytes, channel: int = 1) -> None:
        self._handle((HEADER, channel, pack(">HHQ", 60, 0, len(body)) + encoded))
        if body:
            self._handle((BODY, channel, body))

    def beat(self) -> None:
        self._handle((HEARTBEAT, 0, b""))


def received(body: bytes = b"{}", **values: bytes) -> Delivery:
    return Delivery.from_amqp("q", Line().deliver(properties(**values), body))


def assert_clean(found: Delivery) -> None:
    """PostgreSQL's text and jsonb accept all of it, and RabbitMQ its dead letter."""
    dead_letter = OutgoingDeadLetter.from_delivery(found, "x", attempt=1)
    document = json.dumps(dead_letter.headers, ensure_ascii=False)
    texts = [document, found.message_id, found.reply_to, found.correlation_id]
    for text in filter(None, texts):
        assert "\\u0000" not in text and "\x00" not in text
        text.encode()
    _, _, message = dead_letter.to_amqp()
    assert len(message._serialize_properties()) < FRAME_MAX - 1000


@pytest.mark.parametrize("body", [b"{}", b""])
def test_every_property_and_type_is_delivered(body: bytes) -> None:
    line = Line()
    for values in all_properties():
        assert_clean(Delivery.from_amqp("q", line.deliver(properties(**values), body)))
    assert bytes(line.arrived[0][2].body or b"") == body


@settings(derandomize=True, deadline=None, max_examples=400)
@given(drawn_properties)
def test_every_generated_frame_is_delivered(values: dict[str, bytes]) -> None:
    assert_clean(received(**values))


@settings(derandomize=True, deadline=None, max_examples=400)
@given(drawn_properties, st.integers(0, 200), st.binary(max_size=4))
def test_a_header_that_is_cut_or_overwritten_is_delivered(
    values: dict[str, bytes], at: int, noise: bytes
) -> None:
    encoded = properties(**values)
    encoded = encoded[:at] + noise + encoded[at + len(noise) + len(noise) % 2 :]
    assert_clean(Delivery.from_amqp("q", Line().deliver(encoded.ljust(2, b"\x00"))))


def test_a_timestamp_in_milliseconds_leaves_the_other_properties_readable() -> None:
    found = received(
        headers=table((b"at", b"T" + pack(">Q", 1_790_000_000_000))),
        message_id=b"m-1",
        priority=b"\x07",
        reply_to=b"answers",
        correlation_id=b"c",
    )
    assert found.undecodable is not None and "year" in found.undecodable
    assert (found.message_id, found.priority, found.headers) == ("m-1", 7, {})
    assert (found.reply_to, found.correlation_id) == ("answers", "c")
    assert found.body == b"{}"
    for ask in (found.id, found.task_name, found.json):
        with pytest.raises(PoisonMessage, match="cannot be decoded: ValueError"):
            ask()


def test_the_next_message_is_read_as_if_nothing_had_been() -> None:
    line = Line()
    bad = line.deliver(properties(app_id=b"\xff"), channel=3)
    good = line.deliver(properties(app_id=b"fine", message_id=b"2"), b"[]", channel=3)
    assert Delivery.from_amqp("q", bad).undecodable
    assert Delivery.from_amqp("q", good).undecodable is None
    assert good.properties == {"app_id": "fine", "message_id": "2"}
    assert good.body == b"[]"


def test_two_ids_that_are_sanitised_alike_stay_two() -> None:
    ids = [received(message_id=raw).message_id for raw in (b"a\x00", b"a?", b"a", b"\xff", b"\xfe")]
    assert len(set(ids)) == 5
    assert ids[1:3] == ["a?", "a"]
    assert received(message_id=b"a\x00").message_id == ids[0]
    assert all(len(each.encode()) <= 255 for each in ids if each)


def test_a_cleaned_header_takes_no_other_name() -> None:
    found = received(headers=table((b"task\x00", b"S\x00\x00\x00\x04play")))
    assert found.is_external and found.headers == {"task?": "play"}


def test_an_address_that_no_row_can_hold_is_dropped() -> None:
    assert received(reply_to=b"a\x00").reply_to is None
    assert received(reply_to=b"a").reply_to == "a"


def test_headers_nested_too_deep_are_undecodable() -> None:
    assert received(headers=nested(60)).undecodable is None
    for depth in (70, 900, 20_000):
        assert received(headers=nested(depth)).undecodable


@pytest.mark.parametrize(
    "name", [b"queue", b"reason", b"attempt", b"died_in", b"self", b"delivery"]
)
def test_a_header_of_any_name_leaves_room_for_the_reason(name: bytes) -> None:
    dead_letter = OutgoingDeadLetter.from_delivery(
        received(headers=table((name, b"t\x01"))), "because", attempt=2
    )
    assert (dead_letter.headers["reason"], dead_letter.headers["died_in"]) == ("because", "q")
    assert dead_letter.headers["attempt"] == 2


@pytest.mark.parametrize("key", [b"\xff", b"\xed\xa0\x80", b"a\x00b", "é".encode(), b"\xff" * 255])
def test_a_routing_key_of_any_octets_arrives(key: bytes) -> None:
    message = Line().deliver(properties(), key=key)
    event = parse_event(Delivery.from_amqp("q", message), message.delivery_info)
    assert "\x00" not in event.routing_key
    event.routing_key.encode()


@pytest.mark.parametrize(
    ("method", "kinds", "values"),
    [
        (spec.Basic.GetOk, "Lbssl", (200, True, "e", b"\xff", 7)),
        (spec.Basic.Return, "Bsss", (312, b"\xff", b"\xfe", "k")),
        (spec.Channel.Close, "BsBB", (406, b"NOT \xff", 60, 40)),
        (spec.Connection.Close, "BsBB", (200, b"\xff", 0, 0)),
    ],
)
def test_texts_in_all_methods_can_be_decoded(
    method: tuple[int, int], kinds: str, values: tuple[Any, ...]
) -> None:
    line = Line()
    line.method(method, dumps(kinds, values))
    if method in (spec.Basic.GetOk, spec.Basic.Return):
        line.content(properties(), b"")
    found, _ = amqp.serialization.loads(kinds, line.arrived[0][1], 4)
    readable = [
        v.replace(b"\xff", b"?").replace(b"\xfe", b"?").decode() if isinstance(v, bytes) else v
        for v in values
    ]
    assert found == readable


def test_every_frame_is_a_sign_of_life() -> None:
    line = Line()
    for frame in (line.beat, lambda: line.method(spec.Queue.DeclareOk, b"")):
        before, counted = time.monotonic(), line.connection.bytes_recv
        frame()
        assert line.reader.last_at >= before
        assert line.connection.bytes_recv == counted + 1
