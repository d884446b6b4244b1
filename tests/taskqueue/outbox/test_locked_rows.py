"""Rows that another session has locked delay only themselves."""

from __future__ import annotations

from contextlib import ExitStack
from uuid import UUID

import psycopg

from pizza.database.queries import Queries

from ...support.taskqueue.event_probe import EventProbe
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until

HELD_S = 20.0


def lock(conn: psycopg.Connection, ids: list[UUID]) -> None:
    locked = conn.execute("select id from message where id = any(%s) for update", (ids,)).fetchall()
    assert len(locked) == len(ids)


def test_a_dropped_delivery_is_replaced_though_its_message_is_not_marked_yet(
    harness: Harness,
) -> None:
    # Given a message that was published, and dropped before the publisher could mark it as sent
    id = harness.send()
    ((position,),) = harness.rows("select position from message")
    harness.conn.execute("insert into redelivery values (%s, now() - interval '1 minute')", [id])
    redeliver = Queries("taskqueue/keeper").redeliver_noted
    assert harness.rows(redeliver.replace("%(limit)s", "500")) == [(1, True)]
    # When the publisher marks that publication, then the message still waits for another
    confirmed = Queries("taskqueue/relay").mark_sent
    harness.conn.execute(confirmed, {"positions": [position]})
    assert harness.states() == {"pending": 1}
    assert not harness.rows("select from redelivery")


def test_locked_messages_in_every_state_delay_no_others(harness: Harness) -> None:
    # Given messages that are waiting, claimed by a worker that dies, scheduled and pending
    first = harness.relay("first")
    gate = harness.gate()
    with ExitStack() as stack:
        dying = [harness.worker(f"dying{n}", "red", no_relay=True) for n in range(2)]
        waiting = harness.send(colour="blue")
        locked_claim, free_claim = (harness.send("block", times=1, until=gate) for _ in range(2))
        for id in (locked_claim, free_claim):
            harness.await_run(id)
        harness.await_states(claimed=2, sent=1)
        first.kill9()
        for worker in dying:
            worker.kill9()
        gate.open()
        scheduled, pending = harness.send(countdown=0.1), harness.send()
        # When another session has locked one of each
        locked = [waiting, locked_claim, scheduled, pending]
        locker = stack.enter_context(psycopg.connect(harness.db_url))
        lock(locker, locked)
        held = Stopwatch()
        relay = harness.relay("second")
        worker = harness.worker("w", "red,blue", no_relay=True)
        with EventProbe(harness) as probe:
            # Then the others are rescued, published, staged and worked on
            others = [free_claim]
            others += [harness.send(colour=colour) for colour in ("red", "blue") for _ in range(10)]
            others += [harness.send(countdown=0.3) for _ in range(10)]
            others += harness.send_many(10, "fail", times=1)
            wait_until(lambda: set(harness.effects()) == set(others), 8, "the others have ended")
            while held.seconds < HELD_S:
                late = harness.send()
                others.append(late)
                harness.await_run(late, event="end")
        probe.assert_on_time()
        assert not set(locked) & set(harness.effects())
        # And what was locked follows soon after its release
        locker.rollback()
        released = Stopwatch()
        wait_until(lambda: set(locked) <= set(harness.effects()), 3, "what was locked has ended")
        released.assert_within(3)
    harness.await_all_done()
    harness.assert_each_once(locked + others)
    assert worker.running
    assert not relay.log("messages_sent_again")
    assert not any(process.tracebacks() for process in harness.processes)
