"""Messages that no worker can process become dead letters, unchanged, and the queue continues."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

import amqp

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until

GOOD = {"task": "strict"}
UNFIT: dict[str, Any] = {
    "a key is missing": {"label": "x"},
    "no object": 7,
    "nothing": None,
    "too short a list": [1],
    "a division by nothing": {"ratio": 1},
    "a sentence of its own": {"mode": "nonsense"},
}
GARBAGE: dict[str, tuple[bytes, dict[str, Any]]] = {
    "not JSON": (b"{", {"application_headers": GOOD}),
    "not text": (b"\xff\x00\xfe", {"application_headers": GOOD}),
    "empty": (b"", {"application_headers": GOOD}),
    "too deep": (b"[" * 100_000, {"application_headers": GOOD}),
    "a huge number": (b"9" * 10_000, {"application_headers": GOOD}),
    "no task": (b"{}", {"application_headers": {}}),
    "no headers": (b"{}", {}),
    "a task that is none": (b"{}", {"application_headers": {"task": "unheard-of"}}),
    "a task that is no name": (b"{}", {"application_headers": {"task": 7}}),
    "a task with a NUL": (b"{}", {"application_headers": {"task": "a\x00b"}}),
    "odd headers": (
        b"{}",
        {"application_headers": {"n": 2.5, "b": b"\xff", "l": [1], "t": {"x": None}}},
    ),
    "a false encoding": (b"\xe9", {"application_headers": GOOD, "content_encoding": "latin-1"}),
    "an unknown encoding": (b"\xe9", {"application_headers": GOOD, "content_encoding": "rot-99"}),
    "a position that is none": (b"\xe9", {"application_headers": GOOD | {"position": "three"}}),
    "an empty id": (b"{}", {"application_headers": GOOD, "message_id": ""}),
    "an id of its own": (b"{}", {"application_headers": GOOD, "message_id": "order-1\x00"}),
}


def test_bodies_of_the_wrong_shape_are_dead_at_once(harness: Harness) -> None:
    worker = harness.worker("w")
    ids = {}
    for name, body in UNFIT.items():
        identity = uuid4()
        harness.sample.strict.send(harness.conn, body, routing_key="red", message_id=identity)
        ids[str(identity)] = name
    good = harness.send(task="strict")
    dead_letters = {
        str(each.properties["message_id"]): each for each in harness.await_dead(len(ids))
    }
    assert set(dead_letters) == set(ids)
    for dead_letter in dead_letters.values():
        headers = dead_letter.properties["application_headers"]
        assert headers["reason"] and headers["task"] == "strict"
        assert headers["died_in"] == harness.sample.queue("red") and headers["died_at"]
    harness.await_all_done()
    harness.assert_each_once([good])
    counted = harness.rows("select queue, number from message_counter where what = 'dead'")
    assert counted == [(harness.sample.queue("red"), len(ids))]
    assert not worker.tracebacks()


def test_every_kind_of_garbage_is_kept_unchanged(harness: Harness) -> None:
    worker = harness.worker("w")
    with harness.broker() as channel:
        for body, properties in GARBAGE.values():
            properties = {"message_id": str(uuid4())} | properties
            channel.basic_publish(amqp.Message(body, **properties), harness.prefix, "red")
        channel.basic_publish(amqp.Message(b"{}", application_headers=GOOD), harness.prefix, "red")
    good = harness.send()
    dead_letters = harness.await_dead(len(GARBAGE) + 1)
    assert all(
        dead_letter.properties["application_headers"]["reason"] for dead_letter in dead_letters
    )
    kept = [base64.b64encode(_bytes(dead_letter.body)) for dead_letter in dead_letters]
    sent = [base64.b64encode(body) for body, _ in GARBAGE.values()] + [base64.b64encode(b"{}")]
    assert sorted(kept) == sorted(sent)
    wait_until(lambda: harness.ready(harness.sample.queue("red")) == 0, 5, "the queue has moved on")
    harness.await_all_done()
    harness.assert_each_once([good])
    assert worker.running and not worker.tracebacks()
    assert not worker.log("broker_lost")


def test_a_delivery_without_a_row_has_no_effect(harness: Harness) -> None:
    worker = harness.worker("w")
    with harness.broker() as channel:
        stranger = amqp.Message(
            b'{"mode": "ok"}', message_id=str(uuid4()), application_headers={"task": "play"}
        )
        channel.basic_publish(stranger, harness.prefix, "red")
    worker.await_log("job_skipped")
    assert not harness.effects()


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)
