"""A commit wakes the relay at once, from any process, and costs the sender little."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from pizza.taskqueue.outbox.relay import Relay
from pizza.taskqueue.task import publish

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until

SLEEPING = "(lock_key('publisher asleep') & 4294967295)::oid"


def awake(harness: Harness) -> bool:
    """Whether the relay is awake; asleep it holds a lock."""
    held = harness.rows(
        f"""select 1 from pg_locks
           where locktype = 'advisory' and objid = {SLEEPING}
             and mode = 'ExclusiveLock'"""
    )
    return not held


def keeps_awake(harness: Harness, pid: int) -> bool:
    """Whether an open transaction of the backend has sent something and need not notify."""
    held = harness.rows(
        f"""select 1 from pg_locks
           where locktype = 'advisory' and objid = {SLEEPING}
             and mode = 'ShareLock' and pid = %s""",
        pid,
    )
    return bool(held)


def latencies(harness: Harness, count: int) -> list[float]:
    """From commit to the hands of a consumer, one message after the other, in seconds."""
    found: list[float] = []
    arrived: list[float] = []
    with harness.broker() as channel:
        note = lambda _: arrived.append(time.monotonic())  # noqa: E731
        channel.basic_consume(harness.sample.events, no_ack=True, callback=note)
        for number in range(count):
            # Given a relay that has gone to sleep
            wait_until(lambda: not awake(harness), 5, "the relay sleeps")
            publish(harness.conn, harness.prefix, "event.tick", {"number": number})
            committed = time.monotonic()
            while len(arrived) <= number:
                channel.connection.drain_events(timeout=25)
            found.append(arrived[-1] - committed)
    return found


def assert_at_once(found: list[float], watch: Stopwatch) -> None:
    """Its sleep ends by itself after half a second: a lost wake-up takes that long.

    One in twelve may, since on a busy machine a wake-up that arrives can take as long, too.
    """
    watch.assert_within(0.05, statistics.median(found))
    assert sum(each > 0.45 for each in found) <= 2, found


def test_a_relay_of_another_process_is_woken_at_once(harness: Harness) -> None:
    harness.relay()
    watch = Stopwatch()
    found = latencies(harness, 25)
    assert_at_once(found, watch)


def test_a_relay_of_the_same_process_is_woken_at_once(harness: Harness) -> None:
    relay = Relay(harness.sample.app, harness.db_url, harness.broker_url, name="inside")
    relay.start()
    try:
        wait_until(lambda: relay.state() == "leading", 10, "it leads")
        watch = Stopwatch()
        found = latencies(harness, 25)
    finally:
        relay.stop(3)
    assert relay.state() == "stopped"
    assert_at_once(found, watch)


def test_a_transaction_that_stays_open_is_not_forgotten(harness: Harness) -> None:
    relay = harness.relay()
    wait_until(lambda: not awake(harness), 5, "the relay sleeps")
    # Given transactions that have sent and stay open, begun while it sleeps and while it wakes
    openers = [psycopg.connect(harness.db_url) for _ in range(3)]
    for conn in openers:
        harness.sample.play.send(conn, {"mode": "ok"}, routing_key="red")
        publish(harness.conn, harness.prefix, "event.tick", {})
        wait_until(lambda: not harness.states()["pending"], 5, "what was committed is published")
    cpu = relay.cpu_seconds()
    time.sleep(2)
    assert relay.cpu_seconds() - cpu < 0.8  # awake, but no hot loop
    # When they commit, then each is published at once
    for number, conn in enumerate(openers):
        assert harness.states()["sent"] == number
        conn.commit()
        committed = Stopwatch()
        wait_until(lambda number=number: harness.states()["sent"] == number + 1, 5, "it is sent")
        committed.assert_within(0.3)
        conn.close()


def test_senders_do_not_notify_while_the_relay_is_awake(harness: Harness) -> None:
    harness.relay()
    listener = psycopg.connect(harness.db_url, autocommit=True)
    (channel,) = listener.execute("select channel_name('outbox')").fetchone()
    listener.execute(f'listen "{channel}"')
    wait_until(lambda: not awake(harness), 5, "the relay sleeps")
    # Asleep, one commit wakes it
    publish(harness.conn, harness.prefix, "event.tick", {})
    assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
    # Awake it is kept by a transaction that has sent; then a hundred commits say nothing
    with psycopg.connect(harness.db_url) as sender:
        pid, sent = sender.info.backend_pid, 1
        # (one commit wakes it, and the next message is sent before it dozes off again)
        while not (sent > 1 and keeps_awake(harness, pid)):
            sender.commit()
            publish(sender, harness.prefix, "event.tick", {})
            sent += 1
        list(listener.notifies(timeout=0.3))
        for _ in range(100):
            publish(harness.conn, harness.prefix, "event.tick", {})
        assert list(listener.notifies(timeout=0.3)) == []
    wait_until(lambda: not harness.states(), 5, "all are published")
    assert len(harness.drain()) == sent + 100
    listener.close()


def test_messages_of_many_concurrent_senders_are_all_published(harness: Harness) -> None:
    harness.relay()

    def send(_: int) -> None:
        with psycopg.connect(harness.db_url, autocommit=True) as conn:
            for number in range(100):
                publish(conn, harness.prefix, "event.tick", {"number": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    wait_until(lambda: not harness.states(), 10, "all are published")
    assert len(harness.drain()) == 800


def test_a_backlog_goes_in_batches(harness: Harness) -> None:
    harness.send_many(5000)
    harness.relay()
    watch = Stopwatch()
    harness.await_states(sent=5000, within=15)
    watch.assert_within(4)  # a confirm for each alone would allow about 1,000 a second
    assert harness.ready(harness.sample.queue("red")) == 5000
