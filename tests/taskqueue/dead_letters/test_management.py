"""Dead messages are rows: they are listed, retried and dropped without the broker."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import amqp
import psycopg
import pytest
from psycopg.rows import namedtuple_row

from devservices import RabbitMQ
from pizza.database.connection import BoundedConnection, connect
from pizza.taskqueue.dead_letters import management
from pizza.taskqueue.message import to_amqp

from ...support.taskqueue.sample_subscriber import SCHEMA as LISTENER_SCHEMA
from ...support.taskqueue.worker_process import DEAD_LETTERS, Harness
from ...support.waiting import Stopwatch, wait_until

MANY = 3_000


@pytest.fixture
def conn(harness: Harness) -> Iterator[BoundedConnection]:
    with connect(harness.db_url, name="person") as open_connection:
        yield open_connection


def dead(harness: Harness) -> int:
    return int(harness.rows("select count(*) from dead_message")[0][0])


def make_dead(harness: Harness, *labels: str) -> list[str]:
    """Jobs that die at once, one after the other."""
    jobs = []
    for number, label in enumerate(labels, start=1):
        jobs.append(str(harness.send("hopeless", label=label)))
        wait_until(lambda n=number: dead(harness) == n, 15, "it is dead")
    return jobs


def insert(harness: Harness, number: int = 1, **columns: Any) -> list[str]:
    """Rows of dead messages, the oldest first."""
    values = {
        "task": "play",
        "queue": harness.sample.queue("red"),
        "body": b'{"mode": "ok"}',
        "reason": "Hopeless: no use",
        **columns,
    }
    rows = harness.rows(
        f"""insert into dead_message (id, died_at, {", ".join(values)})
            select gen_random_uuid(), now() - interval '1 hour' + n * interval '1 ms',
                   {", ".join(["%s"] * len(values))}
            from generate_series(1, %s) n returning id::text""",
        *values.values(),
        number,
    )
    return [id for (id,) in rows]


def listed(conn: BoundedConnection) -> list[str]:
    return [dead_letter.id for dead_letter in management.list_dead_letters(conn)]


def test_a_list_shows_the_reason_and_changes_nothing(
    harness: Harness, conn: BoundedConnection
) -> None:
    harness.worker("w")
    jobs = make_dead(harness, "first", "second")
    for _ in range(2):
        found = management.list_dead_letters(conn)
        assert [dead_letter.id for dead_letter in found] == jobs
    assert found[0].reason == "Hopeless: no use"
    assert (found[0].task, found[0].queue) == ("play", harness.sample.queue("red"))
    assert (found[0].attempt, found[0].runs) == (1, 1)
    assert found[0].body == {"mode": "hopeless", "label": "first"}
    assert listed(conn) == jobs
    assert [dead_letter.id for dead_letter in management.list_dead_letters(conn, limit=1)] == jobs[
        :1
    ]
    assert management.find(conn, jobs[1]) == found[1]
    assert management.find(conn, str(uuid4())) is None
    assert management.find(conn, "no UUID") is None


def test_the_log_of_a_failure_has_its_stack_and_so_has_the_row(
    harness: Harness, conn: BoundedConnection
) -> None:
    worker = harness.worker("w")
    job = str(harness.send("fail"))
    line = worker.await_log("job_dead", within=20)
    (retried, *_) = worker.log("job_retried")
    dead_letter = management.find(conn, job)
    assert dead_letter is not None and dead_letter.traceback is not None
    for text in (line["traceback"], retried["traceback"], dead_letter.traceback):
        assert "Traceback (most recent call last)" in text
        assert "in _fail" in text  # the function of the task
    assert dead_letter.traceback.endswith("Flaky: attempt 3 fails as it should\n")
    assert (dead_letter.attempt, dead_letter.runs) == (3, 3)


def test_a_dead_letter_is_retried_and_the_others_stay(
    harness: Harness, conn: BoundedConnection
) -> None:
    worker = harness.worker("w")
    jobs = make_dead(harness, "first", "second", "third")
    assert management.retry(conn, jobs[1]).count == 1
    # It is tried once more, and dies once more: behind the others now.
    worker.await_log("job_dead", count=4)
    wait_until(lambda: listed(conn) == [jobs[0], jobs[2], jobs[1]], 10, "it is back")
    assert management.retry(conn, str(uuid4())) == management.BulkResult(0, {})


def test_dead_letters_after_the_start_of_a_retry_of_all_are_left_for_the_next(
    harness: Harness, conn: BoundedConnection
) -> None:
    insert(harness, 2)
    (later,) = insert(harness)
    harness.rows(
        "update dead_message set died_at = now() + interval '1 min' where id = %s returning 1",
        later,
    )
    assert management.retry_all(conn) == management.BulkResult(2, {})
    assert listed(conn) == [later]


def test_an_unreadable_message_returns_to_its_queue_unchanged(
    harness: Harness, conn: BoundedConnection
) -> None:
    worker = harness.worker("w")
    with harness.broker() as channel:
        channel.basic_publish(amqp.Message(b"{no json"), "", harness.sample.queue("red"))
    worker.await_log("message_dead")
    wait_until(lambda: dead(harness) == 1, 10, "it is dead")
    assert management.list_dead_letters(conn)[0].body == "{no json"
    assert management.retry_all(conn).count == 1
    worker.await_log("message_dead", count=2)
    wait_until(lambda: dead(harness) == 1, 10, "it is dead again")


def test_a_dropped_dead_letter_is_gone(harness: Harness, conn: BoundedConnection) -> None:
    first, second, third = insert(harness, 3)
    assert management.drop(conn, first).count == 1
    assert management.drop(conn, first).count == 0
    assert listed(conn) == [second, third]
    assert management.drop_all(conn).count == 2
    assert listed(conn) == []


def test_they_are_listed_and_retried_although_the_broker_lost_its_disk(
    harness: Harness, conn: BoundedConnection, rabbitmq: RabbitMQ
) -> None:
    harness.relay()
    worker = harness.worker("w", no_relay=True)
    jobs = make_dead(harness, "first", "second")
    rabbitmq.kill9()
    rabbitmq.wipe()
    assert listed(conn) == jobs
    assert management.retry_all(conn).count == 2
    worker.await_log("job_dead", within=30, count=4)
    wait_until(lambda: sorted(listed(conn)) == sorted(jobs), 10, "both have died again")


def test_copies_leave_the_queue_after_a_retry_and_a_drop(
    harness: Harness, conn: BoundedConnection
) -> None:
    harness.relay()
    harness.worker("w", no_relay=True)
    first, second, third = make_dead(harness, "first", "second", "third")
    wait_until(lambda: harness.ready(DEAD_LETTERS) == 3, 10, "there are copies")
    management.drop(conn, first)
    # The message of the second is on its way again, and not dead.
    harness.conn.execute(
        "update dead_message set queue = 'nobody serves it' where id = %s", [second]
    )
    management.retry(conn, second)
    wait_until(lambda: harness.ready(DEAD_LETTERS) == 1, 15, "two copies have gone")
    (dead_letter,) = harness.drain(DEAD_LETTERS)
    assert dead_letter.properties["message_id"] == third
    assert dead_letter.properties["application_headers"]["reason"] == "Hopeless: no use"


def test_a_retried_message_of_another_program_keeps_its_reply_headers(
    harness: Harness,
) -> None:
    # Given an unreadable message of another program that waits for a reply
    worker = harness.worker("w")
    asks = {"reply_to": "answers", "correlation_id": "7"}
    with harness.broker() as channel:
        message = amqp.Message("no json", message_id="a-1", content_type="application/json", **asks)
        channel.basic_publish(message, "", harness.sample.queue("red"))
    rows = "select id, headers ->> 'reply_to', headers ->> 'correlation_id' from dead_message"
    ((id, *kept),) = wait_until(lambda: harness.rows(rows), 15, "it is dead")
    assert kept == list(asks.values())
    # When it is sent again
    worker.signal(signal.SIGTERM)
    worker.ends(within=10)
    harness.relay()
    assert management.retry(harness.conn, str(id)).count == 1
    # Then the next delivery has both
    (again,) = wait_until(lambda: harness.drain(harness.sample.queue("red")), 15, "it is delivered")
    assert again.properties["correlation_id"] == "7"
    assert again.properties["application_headers"]["reply_to"] == "answers"


def test_a_second_delivery_of_a_dead_message_has_no_effect(harness: Harness) -> None:
    # Given a worker, and no relay: the copy for the dead-letter queue stays unpublished.
    worker = harness.worker("w", no_relay=True)
    job = harness.send("hopeless")
    with psycopg.connect(harness.db_url, row_factory=namedtuple_row) as conn:
        message = to_amqp(conn.execute("select * from message").fetchone())
    harness.conn.execute("update message set state = 'sent', sent_at = now()")
    # When the message is delivered twice
    with harness.broker() as channel:
        for _ in range(2):
            channel.basic_publish(message, "", harness.sample.queue("red"))
    worker.await_log("job_dead")
    worker.await_log("job_skipped")
    # Then it is dead once, the second delivery is gone, and the worker continues.
    assert harness.rows("select id from dead_message") == [(job,)]
    assert harness.rows("select exchange from message") == [("dead_letters",)]
    next_one = harness.send(priority=3)
    with psycopg.connect(harness.db_url, row_factory=namedtuple_row) as conn:
        row = conn.execute("select * from message where id = %s", [next_one]).fetchone()
    with harness.broker() as channel:
        channel.basic_publish(to_amqp(row), "", harness.sample.queue("red"))
    wait_until(lambda: harness.effects() == {next_one: 1}, 15, "the next one is done")
    assert harness.ready(harness.sample.queue("red")) == 0
    assert not worker.log("executor_failed")


def test_an_event_dead_in_two_queues_is_two_and_goes_to_each_alone(
    harness: Harness, conn: BoundedConnection
) -> None:
    harness.conn.execute(LISTENER_SCHEMA)
    harness.relay()
    first, second = harness.subscriber("first"), harness.subscriber("second", kept=True)
    event = str(uuid4())
    with harness.broker() as channel:
        channel.basic_publish(
            amqp.Message(b'{"n": 1, "mode": "poison"}', message_id=event), harness.prefix, "event.x"
        )
    found = wait_until(
        lambda: len(x := management.list_dead_letters(conn)) == 2 and x, 15, "two are dead"
    )
    queues = {dead_letter.queue: dead_letter for dead_letter in found}
    assert set(queues) == {harness.sample.events, f"{harness.prefix}.kept"}
    assert {dead_letter.headers["message_id"] for dead_letter in found} == {event}
    assert management.retry(conn, queues[harness.sample.events].id).count == 1
    first.await_log("event_dead", count=2)
    assert len(second.log("event_dead")) == 1


def test_an_event_sent_again_waits_for_its_queue(harness: Harness, conn: BoundedConnection) -> None:
    relay = harness.relay()
    queue = f"{harness.prefix}.kept"  # which no process has declared
    insert(harness, task=None, queue=queue)
    assert management.retry_all(conn).count == 1
    relay.await_log("message_parked", within=15)
    harness.await_states(scheduled=1)
    with harness.broker() as channel:
        channel.queue_declare(queue, durable=True, auto_delete=False)
    harness.await_states(within=20)
    assert [message.body for message in harness.drain(queue)] == [b'{"mode": "ok"}']


def test_a_dead_letter_that_cannot_be_sent_hinders_no_other(
    harness: Harness, conn: BoundedConnection
) -> None:
    before = insert(harness, 20)
    (homeless,) = insert(harness, queue=DEAD_LETTERS)
    (locked,) = insert(harness)
    insert(harness, 20)
    with psycopg.connect(harness.db_url) as other:
        other.execute("select from dead_message where id = %s for update", [locked])
        watch = Stopwatch()
        done = management.retry_all(conn)
        watch.assert_within(2)
    assert done.count == 40
    assert done.failures == {
        homeless: "the dead message does not say from which queue it came",
        locked: "another transaction is working on this dead message",
    }
    assert set(listed(conn)) == {homeless, locked}
    sent = {str(id) for (id,) in harness.rows("select id from message")}
    assert len(sent) == 40 and set(before) <= sent
    assert management.drop_all(conn) == management.BulkResult(2, {})


def test_thousands_are_listed_in_bounds_and_sent_again_quickly(
    harness: Harness, conn: BoundedConnection
) -> None:
    body = b'{"mode": "ok", "label": "' + b"x" * 10_000 + b'"}'
    ids = insert(harness, MANY, body=body)
    watch = Stopwatch()
    found = management.list_dead_letters(conn, 100)
    watch.assert_within(0.5)
    assert [dead_letter.id for dead_letter in found] == ids[:100]
    assert {len(dead_letter.body) for dead_letter in found} == {management.PREVIEW_BYTES}
    assert {dead_letter.size for dead_letter in found} == {len(body)}
    assert management.find(conn, ids[0]).body["mode"] == "ok"
    pages = [len(page) for page in management.list_pages(conn, 250)]
    assert pages == [100, 100, 50]
    watch = Stopwatch()
    assert management.retry_all(conn) == management.BulkResult(MANY, {})
    watch.assert_within(5)
    assert harness.states() == {"pending": MANY}
    assert dead(harness) == 0


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"\xff\x00", {"base64": "/wA="}),
        (b"[" * 100 + b"]" * 100, "[" * 100 + "]" * 100),
        (b"1" * 5000, "1" * management.PREVIEW_BYTES),
        (b'"\\ud800"', "\ud800"),
    ],
)
def test_every_kind_of_body_is_shown(
    harness: Harness, conn: BoundedConnection, body: bytes, shown: Any
) -> None:
    insert(harness, body=body)
    assert management.list_dead_letters(conn)[0].body == shown


def test_two_messages_with_one_id_keep_their_bodies(harness: Harness) -> None:
    (id,) = insert(harness, body=b'"first"')
    again = (
        "select message_dead_letter_raw('dead_letters', 'q', %s, '{\"reason\": \"r\"}', %s::uuid)"
    )
    harness.rows(again, b'"first"', id)  # the same one, delivered twice
    assert dead(harness) == 1
    harness.rows(again, b'"second"', id)
    found = harness.rows("select id, body from dead_message order by died_at")
    assert [body for _, body in found] == [b'"first"', b'"second"']
    assert found[0][0] == UUID(id) != found[1][0]
