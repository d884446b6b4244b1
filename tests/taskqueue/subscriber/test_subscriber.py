"""Events have their effect once and in order, whatever they contain and however handlers fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import amqp
import pytest

from ...support.taskqueue.sample_subscriber import ATTEMPTS, SCHEMA
from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import wait_until

Shout = Callable[..., str]


@pytest.fixture
def received(harness: Harness) -> Callable[[], list[int]]:
    """The numbers of the events that had an effect, in the order of the commits."""
    harness.conn.execute(SCHEMA)
    return lambda: [n for (n,) in harness.rows("select n from heard order by position")]


def shout(harness: Harness, n: int, mode: str = "ok", *, id: str | None = None, **body: Any) -> str:
    """Publish one event, past the outbox: its id."""
    return shout_all(harness, [{"n": n, "mode": mode, **body}], id)[0]


def shout_all(harness: Harness, bodies: list[dict[str, Any]], id: str | None = None) -> list[str]:
    ids = []
    with harness.broker() as channel:
        channel.confirm_select()
        for body in bodies:
            ids.append(id or str(uuid4()))
            message = amqp.Message(json.dumps(body), message_id=ids[-1], delivery_mode=2)
            channel.basic_publish_confirm(message, harness.prefix, "event.x")
    return ids


def ns(harness: Harness, event: str = "begin") -> list[int]:
    return [line["n"] for line in harness.runs(event)]


def await_received(received: Callable[[], list[int]], count: int, within: float = 15) -> None:
    wait_until(lambda: len(received()) >= count, within, f"{count} events are received")


def reason(dead_letter: amqp.Message) -> str:
    return dead_letter.properties["application_headers"]["reason"]


def assert_healthy(subscriber: Process) -> None:
    assert subscriber.running and not subscriber.tracebacks()


def test_events_come_in_order_with_all_their_properties(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    subscriber = harness.subscriber()
    shout_all(harness, [{"n": n, "mode": "ok"} for n in range(200)])
    with harness.broker() as channel:
        channel.basic_publish(
            amqp.Message(
                '{"n": 200, "mode": "ok"}', message_id="x", reply_to="q", correlation_id="c"
            ),
            harness.prefix,
            "event.last",
        )
    await_received(received, 201)
    assert received() == list(range(201))
    wait_until(
        lambda: ns(harness, "heard") == list(range(201)), 5, "each is logged after its commit"
    )
    last = harness.runs()[-1]
    assert (last["key"], last["reply_to"], last["correlation_id"]) == ("event.last", "q", "c")
    wait_until(lambda: harness.ready(harness.sample.events) == 0, 5, "the queue is empty")
    subscriber.signal(15)
    assert subscriber.ends(3) == 0
    assert harness.ready(harness.sample.events) == 0, "all was acknowledged"


def test_a_duplicate_has_no_effect(harness: Harness, received: Callable[[], list[int]]) -> None:
    subscriber = harness.subscriber()
    first = shout(harness, 1)
    shout(harness, 2, id=first)
    shout(harness, 3)
    await_received(received, 2)
    assert received() == [1, 3]
    assert subscriber.await_log("event_skipped")["details"]["message_id"] == first
    assert_healthy(subscriber)


def test_without_a_database(harness: Harness) -> None:
    subscriber = harness.subscriber(db=False)
    first = shout(harness, 1)
    shout(harness, 2, id=first)
    shout(harness, 3, "fail", times=1)
    shout(harness, 4, "fail")
    shout(harness, 5)
    wait_until(lambda: 5 in ns(harness, "heard"), 10, "the last one is received")
    assert ns(harness, "heard") == [1, 3, 5]
    (dead_letter,) = harness.await_dead()
    assert json.loads(dead_letter.body)["n"] == 4
    assert reason(dead_letter) == f"Flaky: attempt {ATTEMPTS} fails as it should"
    assert_healthy(subscriber)


def test_a_failing_event_is_held_in_its_place(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    subscriber = harness.subscriber()
    harness.relay()
    ids = shout_all(
        harness,
        [
            {"n": 1, "mode": "fail", "times": 2},
            {"n": 2, "mode": "ok"},
            {"n": 3, "mode": "fail"},
            {"n": 4, "mode": "oserror"},
            {"n": 5, "mode": "ok"},
        ],
    )
    await_received(received, 3)
    assert received() == [1, 2, 5]
    assert ns(harness) == [1] * 3 + [2] + [3] * ATTEMPTS + [4] * ATTEMPTS + [5]
    dead_letters = sorted(
        harness.await_dead(2), key=lambda dead_letter: json.loads(dead_letter.body)["n"]
    )
    assert [json.loads(dead_letter.body)["n"] for dead_letter in dead_letters] == [3, 4]
    headers = dead_letters[0].properties["application_headers"]
    assert headers["reason"] == f"Flaky: attempt {ATTEMPTS} fails as it should"
    assert (headers["died_in"], headers["attempt"]) == (harness.sample.events, ATTEMPTS)
    assert headers["message_id"] == ids[2]
    assert len(subscriber.log("event_retried")) == 2 + 2 * (ATTEMPTS - 1)
    assert len(subscriber.log("event_dead")) == 2
    assert not subscriber.log("broker_lost"), "an OSError of the handler is not the broker's"
    assert_healthy(subscriber)


@pytest.mark.parametrize("db", [True, False])
def test_poison_is_dead_at_once(
    harness: Harness, received: Callable[[], list[int]], db: bool
) -> None:
    subscriber = harness.subscriber(db=db)
    if db:
        harness.relay()
    garbage = [b"{", b"\xff\x00", b"", b"[" * 100_000, b"\xe9"]
    with harness.broker() as channel:
        for body in garbage:
            message = amqp.Message(
                body, application_headers={"b": b"\xff", "n": 2.5, "t": "a\x00"}, message_id="\x00"
            )
            channel.basic_publish(message, harness.prefix, "event.x")
    shout(harness, 1, "poison")
    shout(harness, 2)
    wait_until(lambda: 2 in ns(harness, "heard"), 10, "the queue continues")
    dead_letters = harness.await_dead(len(garbage) + 1)
    # The keeper may hold some of them for a moment, so their order in the queue may change.
    reasons = {
        x.body.encode() if isinstance(x.body, str) else bytes(x.body): reason(x)
        for x in dead_letters
    }
    assert len(dead_letters) == len(reasons) == len(garbage) + 1
    assert {*garbage} < {*reasons}
    assert [reasons[body] for body in reasons if body not in garbage] == ["not to my taste"]
    assert ns(harness) == [1, 2]
    assert_healthy(subscriber)


def test_killed_in_the_middle_and_before_the_ack(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    first = harness.subscriber("first")
    flag = harness._folder / "once"
    shout_all(
        harness,
        [{"n": n, "mode": "ok"} for n in range(5)]
        + [{"n": 5, "mode": "exit", "once": str(flag)}]
        + [{"n": n, "mode": "ok"} for n in range(6, 10)],
    )
    wait_until(lambda: not first.running, 10, "the first is gone")
    second = harness.subscriber("second")
    await_received(received, 10)
    assert received() == list(range(10))
    # And killed at any moment, each once and in order all the same
    shout_all(harness, [{"n": n, "mode": "ok"} for n in range(10, 400)])
    await_received(received, 60)
    second.kill9()
    third = harness.subscriber("third")
    await_received(received, 400)
    assert received() == list(range(400))
    assert_healthy(third)


def test_each_subscriber_receives_all_events(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    both = [harness.subscriber(name, db=False, own=True) for name in ("one", "two")]
    shout_all(harness, [{"n": n, "mode": "ok"} for n in range(10)])
    wait_until(lambda: len(ns(harness, "heard")) == 20, 10, "both receive all")
    assert sorted(ns(harness, "heard")) == sorted([*range(10), *range(10)])
    for each in both:
        assert_healthy(each)


@pytest.mark.parametrize("db", [True, False])
def test_the_second_of_a_name_is_refused(
    harness: Harness, received: Callable[[], list[int]], db: bool
) -> None:
    first = harness.subscriber("one", exclusive=True, db=db)
    second = harness.subscriber("one", exclusive=True, db=db, ready=False)
    assert second.ends(10) == 1
    assert "RegistrationRefused: A subscriber named 'one' is already at work." in second.tail(1)[0]
    shout(harness, 1)
    wait_until(lambda: ns(harness, "heard") == [1], 5, "the first one continues")
    first.kill9()
    third = harness.subscriber("one", exclusive=True, db=db)
    assert_healthy(third)
