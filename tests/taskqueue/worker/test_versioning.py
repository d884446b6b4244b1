"""Two releases on the same queues: unknown fields are kept, newer versions deferred."""

from __future__ import annotations

import signal
import time
from typing import Any
from uuid import UUID

from pizza.taskqueue.dead_letters import management

from ...support.taskqueue.sample_app import make
from ...support.taskqueue.worker_process import DEAD_LETTERS, Harness, wait_until

UNKNOWN = {"ratio": 0.5, "map": {"a": [1, None, "ü"]}, "flag": True}


def send_newer(harness: Harness, mode: str = "ok", schema_version: int = 2, **more: Any) -> UUID:
    """A message as the next release writes it."""
    newer = make(harness.prefix, version=schema_version).play
    body = {"mode": mode, "label": None, "new": UNKNOWN, **more}
    return newer.send(harness.conn, body, routing_key="red", headers={"new": UNKNOWN})


def test_a_newer_message_waits_for_a_worker_that_knows_it(harness: Harness) -> None:
    old = harness.worker("old")
    newer = send_newer(harness)
    logged = old.await_log("message_version_unknown")
    # The worker continues with versions that it knows, and spends nothing on others
    mine = [harness.send() for _ in range(3)]
    wait_until(lambda: len(harness.effects()) == 3, 10, "the old worker works on")
    assert harness.states() in ({"scheduled": 1}, {"pending": 1}, {"sent": 1})
    assert (logged["level"], logged["details"]["format"]) == ("WARNING", 2)
    assert logged["details"]["message_id"] == str(newer)
    assert harness.ready(DEAD_LETTERS) == 0

    harness.worker("new", schema_version=2)
    old.signal(signal.SIGTERM)
    harness.await_all_done()
    harness.assert_each_once([*mine, newer])
    (run,) = harness.runs(id=newer)
    assert (run["worker"], run["attempt"]) == ("new", 1)


def test_old_and_new_workers_share_a_queue_of_both_formats(harness: Harness) -> None:
    harness.relay()
    with harness.conn.transaction():
        both = [send_newer(harness) if number % 2 else harness.send() for number in range(6)]
    old = harness.worker("old", no_relay=True)
    harness.worker("new", no_relay=True, schema_version=2)
    harness.await_all_done(within=30)
    harness.assert_each_once(both)
    by_old = {UUID(run["id"]) for run in harness.runs() if run["worker"] == "old"}
    assert not by_old & set(both[1::2])
    assert not old.log("message_dead")


def test_a_backlog_of_newer_messages_costs_little_and_is_logged_once(
    harness: Harness,
) -> None:
    old = harness.worker("old")
    with harness.conn.transaction():
        newer = [send_newer(harness) for _ in range(30)]
    old.await_log("message_version_unknown")
    wait_until(lambda: harness.states().get("scheduled") == 30, 10, "each was looked at")
    before = old.cpu_seconds()
    time.sleep(2)
    assert old.cpu_seconds() - before < 0.6
    assert len(old.log("message_version_unknown")) == 1
    assert not harness.effects()
    assert harness.rows("select max(attempt) from message") == [(0,)]
    assert {id for (id,) in harness.rows("select id from message")} == set(newer)


def test_a_worker_with_skills_leaves_what_is_too_new_and_takes_the_next(harness: Harness) -> None:
    harness.relay()
    with harness.conn.transaction():
        newer = make(harness.prefix, version=2).play
        newer.send(
            harness.conn, {"mode": "ok"}, priority=9, routing_key="red", required_tags=["draw"]
        )
        mine = harness.send(required_tags=["draw"])
    harness.await_states(sent=2)
    artist = harness.worker("artist", no_relay=True, skills="draw")
    artist.await_log("message_version_unknown")
    wait_until(lambda: list(harness.effects()) == [mine], 10, "the next is done")


def test_a_task_of_the_next_release_waits_when_it_says_that_it_is_new(harness: Harness) -> None:
    worker = harness.worker("old")
    for headers in ('{"format": 2}', None):
        harness.conn.execute(
            "select outbox_enqueue_task(gen_random_uuid(), 'dance', %s, %s, 'red', 0, '{}', %s)",
            [harness.sample.queue("red"), harness.prefix, headers],
        )
    worker.await_log("message_version_unknown")
    (dead,) = harness.await_dead()
    assert "no task named 'dance'" in dead.properties["application_headers"]["reason"]
    assert harness.rows("select task, headers from message where task is not null") == [
        ("dance", {"format": 2})
    ]


def test_what_is_unknown_in_a_message_is_kept_on_all_its_ways(harness: Harness) -> None:
    """Retried, taken over from a dead worker, dead, listed, and retried by a person."""
    harness.worker("next")
    first = send_newer(harness, "fail", schema_version=1, times=1)
    harness.worker("mortal")
    second = send_newer(harness, "exit", schema_version=1, times=1)
    harness.await_all_done(within=20)
    harness.assert_each_once([first, second])

    newer = make(harness.prefix).play
    body = {"mode": "hopeless", "new": UNKNOWN}
    dead = newer.send(
        harness.conn,
        body,
        routing_key="red",
        headers={"new": UNKNOWN},
        priority=3,
        required_tags=["draw"],
    )
    wait_until(lambda: harness.ready(DEAD_LETTERS) == 1, 15, "it is dead")
    for process in harness.processes:
        process.kill9()
    (dead_letter,) = management.list_dead_letters(harness.conn)
    assert (dead_letter.body, dead_letter.attempt, dead_letter.runs) == (body, 1, 1)
    assert "Hopeless: no use" in (dead_letter.traceback or "")
    assert management.retry(harness.conn, dead_letter.id)
    columns = "id, task, convert_from(body, 'UTF8')::json, headers, priority, needs"
    assert harness.rows(f"select {columns} from message where task is not null") == [
        (dead, "play", body, {"new": UNKNOWN}, 3, ["draw"])
    ]
