"""Dead letters in the queue without a row get one; copies are removed with their rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import amqp
import psycopg
import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.dead_letters import management
from pizza.taskqueue.dead_letters.importer import DeadLetterImporter
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.topology import DEAD_LETTERS

from ...support.taskqueue.worker_process import DEAD_LETTERS as QUEUE
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


@pytest.fixture
def conn(harness: Harness) -> Iterator[BoundedConnection]:
    """As the keeper's."""
    with connect(harness.db_url, name="keeper") as open_connection:
        open_connection.execute("set synchronous_commit = off")
        yield open_connection


@pytest.fixture
def broker(harness: Harness) -> Iterator[BrokerConnection]:
    found = BrokerConnection(harness.broker_url, name="keeper")
    found.declare(DEAD_LETTERS)
    yield found
    found.close()


def put(harness: Harness, body: bytes = b"{}", headers: Any = None, **properties: Any) -> None:
    """One letter, by another program."""
    message = amqp.Message(body, application_headers=headers or {}, delivery_mode=2, **properties)
    with harness.broker() as channel:
        channel.confirm_select()
        channel.basic_publish_confirm(message, "", QUEUE)


def import_all(conn: BoundedConnection, broker: BrokerConnection) -> None:
    """One pass, with all its steps."""
    letters = DeadLetterImporter(conn)
    letters.step(broker)
    while letters.is_busy:
        letters.step(broker)
    broker.wait(0)


def of_release_0_2(harness: Harness, **more: Any) -> dict[str, Any]:
    """The headers of a dead letter that release 0.2.0 has written."""
    return {
        "reason": "KeyError: 'missing'", "died_in": harness.sample.queue("red"),
        "died_at": "2026-01-01T12:00:00.000Z", "task": "play", "attempt": 3, "position": 7, **more,
    }  # fmt: skip


def copies(harness: Harness) -> list[str]:
    """Publish what the outbox holds for the dead-letter queue, as the relay does; the rows' ids."""
    rows = harness.rows(
        "delete from message where exchange = 'dead_letters'"
        " returning position, headers ->> 'dead_message', body"
    )
    for _, id, body in sorted(rows):
        put(harness, bytes(body), {"dead_message": id})
    return [id for _, id, _ in sorted(rows)]


def test_a_dead_letter_of_release_0_2_is_retried_with_its_tags_and_priority(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    id = str(uuid4())
    headers = of_release_0_2(harness, needs=["draw"], format=2)
    put(harness, b'{"mode": "ok"}', headers, message_id=id, priority=7)
    import_all(conn, broker)
    (letter,) = management.list_dead_letters(conn)
    assert (letter.id, letter.task, letter.queue) == (id, "play", harness.sample.queue("red"))
    assert (letter.reason, letter.attempt) == ("KeyError: 'missing'", 3)
    assert (letter.needs, letter.priority) == (["draw"], 7)
    assert letter.headers == {"format": 2}
    assert harness.ready(QUEUE) == 0
    assert management.retry(conn, id).count == 1
    sent = harness.rows(
        "select id::text, task, queue, routing_key, exchange, priority, needs, headers, body"
        " from message where task is not null"
    )
    red = harness.sample.queue("red")
    assert sent == [(id, "play", red, red, "", 7, ["draw"], {"format": 2}, b'{"mode": "ok"}')]


def test_an_event_of_release_0_2_goes_to_its_queue_again(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    headers = of_release_0_2(harness, message_id="event 7")
    del headers["task"]
    put(harness, b'{"n": 7}', headers, message_id=str(uuid4()))
    import_all(conn, broker)
    assert management.retry_all(conn).count == 1
    red = harness.sample.queue("red")
    sent = harness.rows("select exchange, routing_key, body from message where exchange = ''")
    assert sent == [("", red, b'{"n": 7}')]


FORGED: list[tuple[bytes, dict[str, Any], dict[str, Any]]] = [
    (b"\xff\xfe\x00", {"task": "no such task"}, {"message_id": "no UUID"}),
    (b"{}", {"died_in": "q" * 10_000, "task": "play"}, {}),
    (b"{}", {"died_in": "\U0001f355" * 5_000}, {}),
    (
        b"{}",
        {"died_in": 7, "task": 8, "reason": {"a": [1]}, "needs": [1, None], "attempt": "x"},
        {},
    ),
    (b"{}", {"attempt": 10**15, "needs": "draw", "at": datetime(2026, 1, 1, tzinfo=UTC)}, {}),
    (b"{}", {"dead_message": "no UUID", "reason": "a copy of nothing"}, {}),
    (b"{}", {"dead_message": None}, {"message_id": "x" * 255, "priority": 255}),
    (b"", {"reason": "a\x00b", "x" * 200: "y" * 50_000}, {"content_encoding": "klingon"}),
]


def test_each_forged_dead_letter_is_listed_and_hinders_no_retry_of_others(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    good = [str(uuid4()) for _ in range(len(FORGED) + 1)]
    for id, (body, headers, properties) in zip(good, FORGED, strict=False):
        put(harness, b'{"mode": "ok"}', of_release_0_2(harness), message_id=id)
        put(harness, body, headers, **properties)
    put(harness, b'{"mode": "ok"}', of_release_0_2(harness), message_id=good[-1])
    import_all(conn, broker)
    letters = management.list_dead_letters(conn)
    assert len(letters) == len(good) + len(FORGED)
    assert json.dumps([letter.body for letter in letters])
    assert harness.ready(QUEUE) == 0
    done = management.retry_all(conn)
    sent = {str(id) for (id,) in harness.rows("select id from message where task = 'play'")}
    assert sent >= set(good)
    assert done.count == len(letters) - len(done.failures)
    assert set(done.failures.values()) == {"the dead message does not say from which queue it came"}


def test_a_forged_dead_letter_sent_to_a_worker_fails_again_with_a_reason(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    worker = harness.worker("w")
    put(harness, b"\xff", {"task": "nope", "died_in": harness.sample.queue("red"), "needs": [1]})
    import_all(conn, broker)
    harness.conn.execute("update dead_message set needs = null")
    assert management.retry_all(conn).count == 1
    worker.await_log("message_dead")
    wait_until(lambda: management.count(conn) == 1, 10, "it is dead again")
    assert management.list_dead_letters(conn)[0].reason == "there is no task named 'nope'"


def test_two_dead_letters_with_one_id_are_two_rows(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    id = str(uuid4())
    put(harness, b'"first"', of_release_0_2(harness), message_id=id)
    put(harness, b'"second"', of_release_0_2(harness), message_id=id)
    put(harness, b'"second"', of_release_0_2(harness), message_id=id)
    import_all(conn, broker)
    bodies = [letter.body for letter in management.list_dead_letters(conn)]
    assert bodies[:2] == ["first", "second"]


def test_copies_of_rows_that_are_gone_are_taken_out_and_the_others_keep_their_order(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    for n in range(4):
        put(harness, str(n).encode(), of_release_0_2(harness), message_id=str(uuid4()))
    import_all(conn, broker)
    ids = copies(harness)
    assert len(ids) == harness.ready(QUEUE) == 4
    import_all(conn, broker)
    assert harness.ready(QUEUE) == 4
    management.drop(conn, ids[1])
    management.retry(conn, ids[3])
    import_all(conn, broker)
    assert [letter.body for letter in harness.drain(QUEUE)] == [b"0", b"2"]


def test_of_two_copies_of_one_row_the_newer_stays(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    put(harness, b"1", of_release_0_2(harness), message_id=str(uuid4()))
    import_all(conn, broker)
    (id,) = copies(harness)
    put(harness, b"again", {"dead_message": id})
    import_all(conn, broker)
    assert [letter.body for letter in harness.drain(QUEUE)] == [b"again"]


def test_a_dead_letter_that_the_database_refuses_stays_and_delays_no_other(
    harness: Harness,
    conn: BoundedConnection,
    broker: BrokerConnection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    harness.conn.execute(
        "alter table dead_message add constraint short check (octet_length(body) < 100) not valid"
    )
    for body in (b"1", b"2" * 200, b"3"):
        put(harness, body, of_release_0_2(harness), message_id=str(uuid4()))
    with caplog.at_level(logging.WARNING):
        import_all(conn, broker)
    assert [letter.body for letter in management.list_dead_letters(conn)] == [1, 3]
    assert [record.__dict__["action"] for record in caplog.records] == ["dead_letter_failed"]
    assert [letter.body for letter in harness.drain(QUEUE)] == [b"2" * 200]


def test_the_row_of_a_dead_letter_survives_a_crash_of_the_server(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    # Given that the server says how durable a row is when it is written
    harness.conn.execute(
        """alter table dead_message add column durable text
           default current_setting('synchronous_commit')"""
    )
    put(harness, b"1", of_release_0_2(harness), message_id=str(uuid4()))
    import_all(conn, broker)
    assert harness.rows("select durable from dead_message") == [("on",)]
    assert conn.execute("show synchronous_commit").fetchone() == ("off",)


def test_a_long_queue_is_read_in_slices_and_nothing_stays_unacknowledged_after_a_failure(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    headers = {"dead_message": str(uuid4())}
    with harness.broker() as channel:
        for _ in range(450):
            channel.basic_publish(amqp.Message(b"", application_headers=headers), "", QUEUE)
    wait_until(lambda: harness.ready(QUEUE) == 450, 10, "they are there")
    letters = DeadLetterImporter(conn)
    for steps in (1, 2):
        letters.step(broker)
        assert letters.is_busy
        assert harness.ready(QUEUE) == 450 - 200 * steps
    # When the database goes, then everything goes back.
    conn.close()
    with pytest.raises(psycopg.OperationalError, match="closed"):
        letters.step(broker)
    assert not letters.is_busy
    wait_until(lambda: harness.ready(QUEUE) == 450, 10, "all are back")


def test_a_message_read_by_another_connection_is_not_acknowledged_here(
    harness: Harness, conn: BoundedConnection, broker: BrokerConnection
) -> None:
    headers = {"dead_message": str(uuid4())}
    with harness.broker() as channel:
        for _ in range(250):
            channel.basic_publish(amqp.Message(b"", application_headers=headers), "", QUEUE)
    wait_until(lambda: harness.ready(QUEUE) == 250, 10, "they are there")
    letters = DeadLetterImporter(conn)
    letters.step(broker)
    broker.close()
    with pytest.raises(BrokerUnavailable):
        letters.step(broker)
    again = BrokerConnection(harness.broker_url, name="keeper")
    try:
        wait_until(lambda: harness.ready(QUEUE) == 250, 10, "all are back")
        import_all(conn, again)
        assert harness.ready(QUEUE) == 0
    finally:
        again.close()


def test_the_keeper_lists_messages_that_another_program_has_put_there(
    harness: Harness, conn: BoundedConnection
) -> None:
    harness.relay()
    put(harness, b"", {"reason": "forged"}, message_id="x")
    wait_until(lambda: management.count(conn) == 1, 12, "it is listed")
    wait_until(lambda: harness.ready(QUEUE) == 1, 10, "and has a copy")
    (letter,) = harness.drain(QUEUE)
    row = management.list_dead_letters(conn)[0]
    assert letter.properties["application_headers"]["dead_message"] == row.id
