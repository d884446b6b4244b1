"""A message is part of the transaction that sends it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import class_row, dict_row, namedtuple_row, scalar_row

from devservices import Postgres, RabbitMQ
from pizza.database.queries import Queries
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.task import cancel, publish, set_priority

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until

PRUNE = Queries("taskqueue/keeper").prune_identities


def test_a_rollback_leaves_nothing_and_a_commit_publishes_once(harness: Harness) -> None:
    harness.relay()
    with pytest.raises(ZeroDivisionError), harness.conn.transaction():
        harness.send()
        publish(harness.conn, harness.prefix, "event.undone", {})
        raise ZeroDivisionError
    with harness.conn.transaction():
        event = publish(
            harness.conn, harness.prefix, "event.done", {"n": 1}, headers={"source": "test"}
        )
        job = harness.send()
        # Not before the commit, however long that takes
        time.sleep(0.7)  # longer than the relay sleeps
        assert (
            harness.ready(harness.sample.events) == harness.ready(harness.sample.queue("red")) == 0
        )
    harness.await_states(sent=1)
    wait_until(lambda: harness.ready(harness.sample.events) == 1, 3, "the event is there")
    (message,) = harness.drain()
    assert message.properties["message_id"] == str(event)
    assert message.properties["application_headers"] == {"source": "test"}
    assert message.properties["delivery_mode"] == 2
    (delivery,) = harness.drain(harness.sample.queue("red"))
    assert delivery.properties["message_id"] == str(job)
    assert delivery.properties["application_headers"]["task"] == "play"


def test_the_effect_and_what_it_sends_are_one_commit(harness: Harness) -> None:
    harness.worker("w")
    # Given a completion that sends on, and fails at its very end in the first attempt
    job = harness.send("send_and_fail", times=1)
    harness.await_all_done()
    harness.assert_each_once([job])
    wait_until(lambda: harness.ready(harness.sample.events) == 1, 3, "the event is there")
    (event,) = harness.drain()
    assert event.body == b'{"attempt":2}'


def test_id_and_priority_are_as_given(harness: Harness) -> None:
    harness.relay()
    identity = uuid4()
    assert harness.send(message_id=identity, priority=7) == identity
    harness.await_states(sent=1)
    (delivery,) = harness.drain(harness.sample.queue("red"))
    assert (delivery.properties["message_id"], delivery.properties["priority"]) == (
        str(identity),
        7,
    )


def test_a_message_with_a_given_id_is_sent_once_while_it_exists_and_after(harness: Harness) -> None:
    identity = uuid4()
    # Given a message that waits, then another with its id, in a transaction that stays open
    with harness.conn.transaction():
        assert harness.send(message_id=identity, label="first") == identity
        assert harness.send(message_id=identity, label="second") == identity
    with harness.conn.transaction():
        assert harness.send(message_id=identity, label="third") == identity
        other = harness.send(label="other")
    assert len(harness.rows("select 1 from message")) == 2
    harness.worker("w")
    harness.await_all_done()
    # And once it has had its effect, one more changes nothing
    assert harness.send(message_id=identity, label="late") == identity
    assert not harness.states()
    harness.assert_each_once([identity, other])
    assert harness.rows("select label from effect where message_id = %s", identity) == [("first",)]


def test_the_id_of_an_ended_message_is_kept_for_half_a_day_and_that_of_a_living_one_longer(
    harness: Harness,
) -> None:
    ended, living, fresh = uuid4(), uuid4(), uuid4()
    for id in (ended, living, fresh):
        harness.send(message_id=id)
    harness.conn.execute("delete from message where id = any(%s)", [[ended, fresh]])
    # Given looks of the keeper, each when half a day has passed since the last; one id is new
    for looks, kept in enumerate([{ended, living, fresh}, {ended, living, fresh}, {living, fresh}]):
        harness.conn.execute(
            "update inbox_message set checked_at = now() - %s::interval where id <> %s",
            ["11:59" if looks == 0 else "12:01", fresh],
        )
        harness.conn.execute(PRUNE, {"limit": 100})
        assert {id for (id,) in harness.rows("select id from inbox_message")} == kept
        # And at once again, which changes nothing
        harness.conn.execute(PRUNE, {"limit": 100})
        assert {id for (id,) in harness.rows("select id from inbox_message")} == kept
    # Then only the forgotten one can be sent again
    for id in (ended, living, fresh):
        harness.send(message_id=id)
    assert {id for (id,) in harness.rows("select id from message")} == {ended, living}


def test_two_senders_of_one_id_at_the_same_time_send_it_once(harness: Harness) -> None:
    identity = uuid4()
    with psycopg.connect(harness.db_url) as first, psycopg.connect(harness.db_url) as second:
        harness.sample.play.send(first, {"mode": "ok"}, routing_key="red", message_id=identity)
        late = threading.Thread(
            target=harness.sample.play.send,
            args=(second, {"mode": "ok"}),
            kwargs={"routing_key": "red", "message_id": identity},
        )
        late.start()
        first.commit()
        late.join(30)
        second.commit()
    assert harness.rows("select id from message") == [(identity,)]


@pytest.mark.parametrize("body", [{"x": float("nan")}, {1, 2}, {"x": b"bytes"}])
def test_a_body_that_json_cannot_hold_is_refused_before_the_commit(
    harness: Harness, body: object
) -> None:
    with pytest.raises(PoisonMessage):
        harness.sample.play.send(harness.conn, body)
    assert not harness.states()


@dataclass
class Row:
    outbox_enqueue_task: Any = None
    outbox_enqueue_event: Any = None
    message_cancel: Any = None
    message_set_priority: Any = None


@pytest.mark.parametrize("factory", [dict_row, namedtuple_row, class_row(Row), scalar_row])
def test_any_row_factory_will_do(harness: Harness, factory: Any) -> None:
    with psycopg.connect(harness.db_url, row_factory=factory) as conn:
        first, second = (
            harness.sample.play.send(conn, {"mode": "ok"}, countdown=60, priority=1)
            for _ in range(2)
        )
        assert set_priority(conn, first, 7)
        assert not set_priority(conn, first, 7)
        assert cancel(conn, second)
        assert not cancel(conn, second)
        publish(conn, harness.prefix, "event.x", {})
    assert harness.rows("select id, priority from message where task is not null") == [(first, 7)]


@pytest.mark.parametrize(
    "conn", [object.__new__(psycopg.AsyncConnection), object(), None], ids=["async", "odd", "none"]
)
def test_a_connection_that_would_send_nothing_is_refused(harness: Harness, conn: Any) -> None:
    identity = uuid4()
    for send in (
        lambda: harness.sample.play.send(conn, {}),
        lambda: publish(conn, harness.prefix, "event.x", {}),
        lambda: cancel(conn, identity),
        lambda: set_priority(conn, identity, 1),
    ):
        with pytest.raises(TypeError, match=r"has to be a psycopg\.Connection, .*, not "):
            send()


def test_a_countdown_outlives_a_restart_of_everything(
    harness: Harness, postgres: Postgres, rabbitmq: RabbitMQ
) -> None:
    worker = harness.worker("before")
    watch, sent = Stopwatch(), time.time()
    soon, late = harness.send(countdown=0.5), harness.send(countdown=9)
    # A short one is due in time, not with some poll
    took = harness.await_run(soon)["at"] - sent
    assert took >= 0.5
    watch.assert_within(1.1, took)
    # When everything goes down and comes back
    with ThreadPoolExecutor() as pool:
        worker.kill9()
        list(pool.map(lambda server: server.restart(), (postgres, rabbitmq)))
    harness.worker("after")
    harness.await_all_done(20)
    run = harness.await_run(late)
    assert run["worker"] == "after"
    took = run["at"] - sent
    assert took >= 9
    watch.assert_within(9 + 3.5, took)
    harness.assert_each_once([soon, late])
