"""Messages: what is written can be read, and unreadable ones have a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.message import Delivery, encode, to_amqp

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def delivered(body: Any = b"{}", redelivered: bool = False, **properties: Any) -> Any:
    message = SimpleNamespace(
        body=body,
        properties=properties,
        delivery_info={"delivery_tag": 7, "redelivered": redelivered},
    )
    return Delivery.from_amqp("queue", message)


def row(**more: Any) -> SimpleNamespace:
    values = {
        "position": 5, "id": uuid4(), "task": "play", "exchange": "e", "routing_key": "k",
        "priority": 3, "headers": None, "body": b"{}", "attempt": 0,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return SimpleNamespace(**values | more)


@given(JSON)
def test_any_json_survives_encoding_and_decoding(body: Any) -> None:
    sent = to_amqp(row(body=encode(body)))
    assert delivered(sent.body, **sent.properties).json() == json.loads(json.dumps(body))


@pytest.mark.parametrize("body", [float("nan"), float("inf"), {1}, b"x", object()])
def test_what_is_not_json_cannot_be_written(body: Any) -> None:
    with pytest.raises(PoisonMessage, match="cannot be written as JSON"):
        encode(body)


def test_a_task_carries_what_a_worker_needs() -> None:
    identity = uuid4()
    sent = to_amqp(row(id=identity, headers={"trace": "t"}, attempt=1))
    read = delivered(sent.body, **sent.properties)
    assert (read.id(), read.task_name(), read.priority) == (identity, "play", 3)
    assert read.headers == {"trace": "t", "task": "play", "attempt": 2, "position": 5}
    assert sent.properties["delivery_mode"] == 2
    assert sent.properties["content_type"] == "application/json"


def test_what_is_meant_for_the_relay_is_no_header() -> None:
    sent = to_amqp(row(task=None, headers={"a": 1, "correlation_id": "c"}))

    assert sent.properties["correlation_id"] == "c"
    assert sent.properties["application_headers"] == {"a": 1}


@pytest.mark.parametrize("name", ["reply_to", "correlation_id"])
@pytest.mark.parametrize(("given", "header", "read"), [
    ("mine", None, "mine"), ("mine", "other", "mine"), (None, "other", "other"), ("", "other", ""),
    (None, "x" * 255, "x" * 255), (None, "x" * 256, None), (None, "ü" * 128, None), (None, 7, None),
    (None, None, None), (None, "\ud800", "?"),
])  # fmt: skip
def test_what_the_sender_asks_for_is_a_property_or_else_a_header(
    name: str, given: Any, header: Any, read: Any
) -> None:
    headers = {} if header is None else {name: header}
    properties = {} if given is None else {name: given}
    assert getattr(delivered(application_headers=headers, **properties), name) == read


def test_a_message_that_the_database_named_has_what_the_sender_asks_for() -> None:
    headers = {"reply_to": "answers", "correlation_id": "c"}
    read = Delivery.from_row((uuid4(), "play", "queue", 3, 5, headers, b"{}"))
    assert (read.reply_to, read.correlation_id) == ("answers", "c")
    read = Delivery.from_row((uuid4(), "play", "queue", 3, 5, None, b"{}"))
    assert (read.reply_to, read.correlation_id) == (None, None)


def test_a_message_of_ours_brings_what_its_row_says() -> None:
    sent = to_amqp(row(headers={"reply_to": "answers", "correlation_id": "c"}))
    read = delivered(sent.body, **sent.properties)
    assert (read.reply_to, read.correlation_id) == ("answers", "c")


def test_a_correlation_id_too_long_for_a_property_stays_a_header() -> None:
    sent = to_amqp(row(task=None, headers={"correlation_id": "c" * 300}))
    assert sent.properties["application_headers"] == {"correlation_id": "c" * 300}
    assert "correlation_id" not in sent.properties
    assert sent._serialize_properties()


def test_an_event_carries_only_its_own_headers() -> None:
    assert to_amqp(row(task=None)).properties["application_headers"] == {}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN{", b"[" * 100_000, b"9" * 5000])
def test_a_body_that_is_no_json_is_poison(body: bytes) -> None:
    with pytest.raises(PoisonMessage, match="not JSON"):
        delivered(body).json()


@pytest.mark.parametrize("identity", [None, "", "7", "x" * 36])
def test_an_id_that_is_no_uuid_is_poison(identity: str | None) -> None:
    with pytest.raises(PoisonMessage, match="not a UUID"):
        delivered(message_id=identity).id()


@pytest.mark.parametrize("headers", [None, {}, {"task": 7}, {"task": b"x"}, {"task": None}])
def test_a_message_without_a_task_is_poison(headers: Any) -> None:
    with pytest.raises(PoisonMessage, match="names no task"):
        delivered(application_headers=headers).task_name()


def test_deliveries_sort_by_priority_then_age() -> None:
    deliveries = [
        delivered(priority=p, application_headers={"position": n})
        for p, n in [(1, 1), (10, 9), (5, 2), (10, 3)]
    ]
    ranked = sorted(deliveries, key=lambda each: each.sort_key)
    assert [(t.priority, t.headers["position"]) for t in ranked] == [
        (10, 3),
        (10, 9),
        (5, 2),
        (1, 1),
    ]
    assert delivered(application_headers={"position": "odd"}).sort_key == (0, 0)
