"""PostgreSQL absent, crashed or hung: nothing lost, nothing doubled, no process ends."""

from __future__ import annotations

import threading
import time

import psycopg

from devservices import Postgres

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


def assert_no_overlap(harness: Harness) -> None:
    """No message was ever run by two at the same time."""
    open_runs: dict[str, str] = {}
    events = [*harness.runs("begin"), *harness.runs("end")]
    for event in sorted(events, key=lambda each: each["at"]):
        if event["event"] == "begin":
            assert event["id"] not in open_runs, f"{event} while {open_runs[event['id']]}"
            open_runs[event["id"]] = event["worker"]
        else:
            open_runs.pop(event["id"], None)


# One worker renewed its lease before the server's start, the other after it; neither has a session.
REGISTER = """
insert into worker_session (id, name, lease_renewed_at, lease_expires_at)
values (1, 'before', now() - interval '1 minute', now() + interval '1 minute'),
       (2, 'after', clock_timestamp(), now() + interval '1 minute')
on conflict (id) do update set lease_renewed_at = excluded.lease_renewed_at returning 1
"""


def test_absent_at_the_start(harness: Harness, postgres: Postgres) -> None:
    job = harness.send()
    postgres.kill9()
    worker = harness.worker("w", ready=False)
    relay = harness.relay(ready=False)
    worker.await_log("session_lost", 15)
    relay.await_log("relay_lost", 15)
    since = worker.cpu_seconds(), relay.cpu_seconds()
    time.sleep(2)  # some time without a database
    assert worker.running and relay.running
    assert worker.cpu_seconds() - since[0] < 0.6 and relay.cpu_seconds() - since[1] < 0.6
    postgres.start()
    back = Stopwatch()
    harness.await_all_done(15)
    back.assert_within(7)  # at most five seconds between two tries
    harness.assert_each_once([job])
    assert not worker.tracebacks() + relay.tracebacks()


def test_crashed_in_the_middle_of_jobs_and_sends(harness: Harness, postgres: Postgres) -> None:
    workers = harness.workers(3, lease=3)
    known: list = []
    over = threading.Event()

    def send() -> None:
        """Send all the time, as a client that does not learn of every commit."""
        while not over.is_set():
            try:
                with psycopg.connect(harness.db_url, autocommit=True, connect_timeout=3) as conn:
                    while not over.wait(0.02):
                        mode = ("two", "sleep", "ok")[len(known) % 3]
                        body = {"mode": mode, "seconds": 0.05}
                        known.append(harness.sample.play.send(conn, body, routing_key="red"))
            except psycopg.Error:
                over.wait(0.1)

    long = harness.send("two", seconds=4, label="long")
    harness.await_run(long)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(2):
            sent = len(known)
            wait_until(lambda sent=sent: len(known) > sent + 25, 20, "some are sent")
            postgres.kill9()
            postgres.start()
            # No worker counts as dead before it could reconnect
            harness.rows(REGISTER)
            judged = "select worker_session_alive(1, null), worker_session_alive(2, null)"
            assert harness.rows(judged) == [(True, False)]
            back = Stopwatch()
            for worker in workers:
                wait_until(lambda w=worker: w.log("worker_reconnected"), 10, "it is back")
            back.assert_within(6.5)
    finally:
        over.set()
        sender.join()
    harness.await_all_done(30)
    effects = harness.effects()
    labels = harness.rows("select message_id, label, count(*) from effect group by 1, 2")
    doubled = [row for row in labels if row[2] > 1 and not row[1].endswith(" begun")]
    assert not doubled
    assert not [id for id in known if id not in effects]
    assert all(worker.running for worker in workers)
    assert not [line for worker in workers for line in worker.tracebacks()]
    assert_no_overlap(harness)


def test_hung_for_a_while(harness: Harness, postgres: Postgres) -> None:
    workers = harness.workers(2, lease=3)
    gate = harness.gate()
    job = harness.send("two", until=gate)
    wait_until(lambda: harness.effects()[job] == 1, 5, "its first step has committed")
    postgres.pause()
    gate.open()
    time.sleep(5)  # longer than the lease
    postgres.resume()
    later = harness.send()
    harness.await_all_done(15)
    effects = dict(
        harness.rows("select label, count(*) from effect where message_id = %s group by 1", job)
    )
    assert effects == {" begun": 1, " ended": 1}
    assert harness.effects()[later] == 1
    assert all(worker.running for worker in workers)
    assert_no_overlap(harness)
