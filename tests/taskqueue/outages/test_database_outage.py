"""PostgreSQL absent, crashed or hung: nothing lost, nothing doubled, nobody exits."""

from __future__ import annotations

import threading
import time

import psycopg

from devservices import Postgres

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


def assert_no_overlap(stage: Harness) -> None:
    """No message was ever run by two at the same time."""
    open_runs: dict[str, str] = {}
    events = [*stage.runs("begin"), *stage.runs("end")]
    for event in sorted(events, key=lambda each: each["at"]):
        if event["event"] == "begin":
            assert event["id"] not in open_runs, f"{event} while {open_runs[event['id']]}"
            open_runs[event["id"]] = event["worker"]
        else:
            open_runs.pop(event["id"], None)


# One worker renewed its lease before the server's start, the other after it; neither has a session.
REGISTER = """
insert into worker_session (id, name, renewed_at, lease_expires_at)
values (1, 'before', now() - interval '1 minute', now() + interval '1 minute'),
       (2, 'after', clock_timestamp(), now() + interval '1 minute')
on conflict (id) do update set renewed_at = excluded.renewed_at returning 1
"""


def test_absent_at_the_start(stage: Harness, postgres: Postgres) -> None:
    job = stage.send()
    postgres.kill9()
    worker = stage.worker("w", ready=False)
    relay = stage.relay(ready=False)
    worker.await_log("session_lost", 15)
    relay.await_log("relay_lost", 15)
    since = worker.cpu_seconds(), relay.cpu_seconds()
    time.sleep(2)  # some time without a database
    assert worker.running and relay.running
    assert worker.cpu_seconds() - since[0] < 0.6 and relay.cpu_seconds() - since[1] < 0.6
    postgres.start()
    back = Stopwatch()
    stage.await_all_done(15)
    back.assert_within(7)  # at most five seconds between two tries
    stage.assert_each_once([job])
    assert not worker.tracebacks() + relay.tracebacks()


def test_crashed_in_the_middle_of_jobs_and_sends(stage: Harness, postgres: Postgres) -> None:
    workers = stage.workers(3, lease=3)
    known: list = []
    over = threading.Event()

    def send() -> None:
        """Send all the time, as a client does that does not hear of every commit."""
        while not over.is_set():
            try:
                with psycopg.connect(stage.db_url, autocommit=True, connect_timeout=3) as conn:
                    while not over.wait(0.02):
                        mode = ("two", "sleep", "ok")[len(known) % 3]
                        body = {"mode": mode, "seconds": 0.05}
                        known.append(stage.sample.play.send(conn, body, routing_key="red"))
            except psycopg.Error:
                over.wait(0.1)

    long = stage.send("two", seconds=4, label="long")
    stage.await_run(long)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(2):
            sent = len(known)
            wait_until(lambda sent=sent: len(known) > sent + 25, 20, "some are sent")
            postgres.kill9()
            postgres.start()
            # No worker is taken for dead before it could come back
            stage.rows(REGISTER)
            judged = "select worker_session_alive(1, null), worker_session_alive(2, null)"
            assert stage.rows(judged) == [(True, False)]
            back = Stopwatch()
            for worker in workers:
                wait_until(lambda w=worker: w.log("worker_reconnected"), 10, "it is back")
            back.assert_within(6.5)
    finally:
        over.set()
        sender.join()
    stage.await_all_done(30)
    effects = stage.effects()
    labels = stage.rows("select message_id, label, count(*) from effect group by 1, 2")
    doubled = [row for row in labels if row[2] > 1 and not row[1].endswith(" begun")]
    assert not doubled
    assert not [id for id in known if id not in effects]
    assert all(worker.running for worker in workers)
    assert not [line for worker in workers for line in worker.tracebacks()]
    assert_no_overlap(stage)


def test_hung_for_a_while(stage: Harness, postgres: Postgres) -> None:
    workers = stage.workers(2, lease=3)
    gate = stage.gate()
    job = stage.send("two", until=gate)
    wait_until(lambda: stage.effects()[job] == 1, 5, "its first step has committed")
    postgres.pause()
    gate.open()
    time.sleep(5)  # longer than the lease
    postgres.resume()
    later = stage.send()
    stage.await_all_done(15)
    effects = dict(
        stage.rows("select label, count(*) from effect where message_id = %s group by 1", job)
    )
    assert effects == {" begun": 1, " ended": 1}
    assert stage.effects()[later] == 1
    assert all(worker.running for worker in workers)
    assert_no_overlap(stage)
