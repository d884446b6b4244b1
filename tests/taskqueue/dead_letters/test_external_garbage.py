"""No property and no header of another program stops a worker, a subscriber or the dead letters."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.dead_letters import management
from pizza.taskqueue.dead_letters.management import StoredDeadLetter
from pizza.taskqueue.topology import DEAD_LETTERS

from ...support.raw_amqp import all_properties, drawn_properties, properties, publish, table
from ...support.taskqueue.sample_subscriber import SCHEMA
from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import wait_until

drawn = settings(
    derandomize=True,
    deadline=None,
    max_examples=3,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TASK = table((b"task", b"S\x00\x00\x00\x04play"))


def body(n: int) -> bytes:
    return json.dumps({"mode": "ok", "label": str(n), "n": n}).encode()


def send(
    harness: Harness, headers: Iterable[dict[str, bytes]], exchange: str, key: str | bytes
) -> set[int]:
    """Publish a message with each set of properties; the numbers of those that were accepted."""
    messages = [(body(n), properties(**each)) for n, each in enumerate(headers)]
    accepted = publish(harness.broker_url, messages, exchange, key)
    return {json.loads(each)["n"] for each in accepted}


def read_dead_letters(harness: Harness, count: int) -> list[StoredDeadLetter]:
    """The output of `dead-letters list`, once there are so many."""
    found: list[StoredDeadLetter] = []

    def enough() -> bool:
        found[:] = management.list_dead_letters(harness.conn, 10_000)
        return len(found) >= count

    wait_until(enough, 20, f"{count} dead letters")
    json.dumps([dataclasses.asdict(each) for each in found])
    return found


def empty_dead_letters(harness: Harness) -> None:
    """Declare the queue, and throw away what is in it, and all rows."""
    harness.conn.execute("truncate dead_message")
    broker = BrokerConnection(harness.broker_url, name="test")
    broker.declare(DEAD_LETTERS)
    broker.channel.queue_purge("dead_letter_queue")
    broker.close()


def numbers(letters: list[StoredDeadLetter]) -> list[int]:
    return sorted(each.body["n"] for each in letters)


def assert_unmoved(process: Process, harness: Harness, queue: str) -> None:
    wait_until(lambda: harness.ready(queue) == 0, 10, "the queue is empty")
    assert process.running and not process.tracebacks()
    for action in ("broker_lost", "executor_failed"):
        assert not process.log(action)


def accepted_and_dead(harness: Harness, sent: set[int]) -> None:
    """Each had its effect, or is a dead letter with its reason; none both, none twice."""
    count = lambda: harness.rows("select count(*) from effect")[0][0]  # noqa: E731
    dead = lambda: management.count(harness.conn)  # noqa: E731
    wait_until(lambda: count() + dead() >= len(sent), 30, f"{len(sent)} have ended")
    letters = read_dead_letters(harness, dead())
    done = [int(label) for (label,) in harness.rows("select label from effect")]
    assert sorted(done + numbers(letters)) == sorted(sent)
    assert all(each.reason not in ("", "unknown") for each in letters)


def test_a_worker_that_accepts_external_messages(harness: Harness) -> None:
    green = harness.sample.queue("green")
    worker = harness.worker("w", "green,red")
    sent = send(harness, all_properties(), "", green)
    assert len(sent) > 200
    accepted_and_dead(harness, sent)
    assert_unmoved(worker, harness, green)
    harness.await_all_done()
    good = harness.send()
    harness.await_all_done()
    assert harness.effects()[good] == 1


def test_a_worker_of_a_queue_for_its_own_messages(harness: Harness) -> None:
    red = harness.sample.queue("red")
    worker = harness.worker("w")
    own = ({"headers": TASK} | each for each in all_properties())
    sent = send(harness, own, "", red)
    good = harness.send()
    harness.await_all_done()
    assert_unmoved(worker, harness, red)
    harness.assert_each_once([good])
    dead = numbers(read_dead_letters(harness, 1))
    assert set(dead) <= sent and len(dead) == len(set(dead))


@pytest.mark.parametrize("db", [True, False])
def test_a_subscriber(harness: Harness, db: bool) -> None:
    harness.conn.execute(SCHEMA)
    subscriber = harness.subscriber(db=db, attempts=1, relay=db)
    sent = send(
        harness,
        ({"message_id": b"event %d" % n} | each for n, each in enumerate(all_properties())),
        harness.prefix,
        "event.x",
    )
    assert len(sent) > 200
    for key in (b"event.\xff", b"event.\xed\xa0\x80", b"event.a\x00b"):
        message = (body(1000 + len(sent)), properties(message_id=b"id of " + key.hex().encode()))
        assert publish(harness.broker_url, [message], harness.prefix, key)
        sent.add(1000 + len(sent))
    received = lambda: [line["n"] for line in harness.runs("heard")]  # noqa: E731
    dead = lambda: harness.ready("dead_letter_queue")  # noqa: E731
    if db:
        dead = lambda: management.count(harness.conn)  # noqa: E731
    wait_until(lambda: len(received()) + dead() >= len(sent), 30, "all have ended")
    if not db:
        harness.relay()  # which makes rows of them
    letters = read_dead_letters(harness, len(sent) - len(received()))
    assert sorted(received() + numbers(letters)) == sorted(sent)
    assert_unmoved(subscriber, harness, harness.sample.events)


@drawn
@given(st.lists(drawn_properties, min_size=40, max_size=40))
def test_a_worker_survives_every_generated_message(
    harness: Harness, headers: list[dict[str, bytes]]
) -> None:
    if not harness.processes:
        harness.worker("w", "green,red")
    harness.rows("delete from effect returning 1")
    empty_dead_letters(harness)
    sent = send(harness, without_twins(headers), "", harness.sample.queue("green"))
    accepted_and_dead(harness, sent)
    assert_unmoved(harness.processes[0], harness, harness.sample.queue("green"))


@drawn
@given(st.lists(drawn_properties, min_size=40, max_size=40))
def test_a_list_of_forged_dead_letters(harness: Harness, headers: list[dict[str, bytes]]) -> None:
    if not harness.processes:
        harness.relay()
    empty_dead_letters(harness)
    sent = send(harness, without_twins(headers), "", "dead_letter_queue")
    assert set(numbers(read_dead_letters(harness, len(sent)))) == sent


def test_a_list_of_dead_letters_with_every_property(harness: Harness) -> None:
    harness.relay()
    empty_dead_letters(harness)
    sent = send(harness, all_properties(), "", "dead_letter_queue")
    assert set(numbers(read_dead_letters(harness, len(sent)))) == sent


def without_twins(headers: list[dict[str, bytes]]) -> Iterable[dict[str, bytes]]:
    """One of each message_id: a second message of the same id would be a duplicate."""
    seen = set()
    for each in headers:
        identity = each.get("message_id")
        if identity not in seen:
            yield each
        if identity:
            seen.add(identity)
