"""Two releases side by side: what is unknown is kept, what is too new is left to who knows it."""

from __future__ import annotations

import signal
import time
from typing import Any
from uuid import UUID

from pizza.taskqueue.dead_letters import management

from ...support.taskqueue.sample_app import make
from ...support.taskqueue.worker_process import DEAD_LETTERS, Harness, wait_until

UNKNOWN = {"ratio": 0.5, "map": {"a": [1, None, "ü"]}, "flag": True}


def send_newer(stage: Harness, mode: str = "ok", schema_version: int = 2, **more: Any) -> UUID:
    """A message as the next release writes it."""
    newer = make(stage.prefix, version=schema_version).play
    body = {"mode": mode, "label": None, "new": UNKNOWN, **more}
    return newer.send(stage.conn, body, routing_key="red", headers={"new": UNKNOWN})


def test_a_newer_message_waits_for_a_worker_that_knows_it(stage: Harness) -> None:
    old = stage.worker("old")
    newer = send_newer(stage)
    told = old.await_log("message_version_unknown")
    # The worker of today goes on with what it knows, and spends nothing on what it does not
    mine = [stage.send() for _ in range(3)]
    wait_until(lambda: len(stage.effects()) == 3, 10, "the old worker works on")
    assert stage.states() in ({"scheduled": 1}, {"pending": 1}, {"sent": 1})
    assert (told["level"], told["details"]["format"]) == ("WARNING", 2)
    assert told["details"]["message_id"] == str(newer)
    assert stage.ready(DEAD_LETTERS) == 0

    stage.worker("new", schema_version=2)
    old.signal(signal.SIGTERM)
    stage.await_all_done()
    stage.assert_each_once([*mine, newer])
    (run,) = stage.runs(id=newer)
    assert (run["worker"], run["attempt"]) == ("new", 1)


def test_old_and_new_workers_share_a_queue_of_both_formats(stage: Harness) -> None:
    stage.relay()
    with stage.conn.transaction():
        both = [send_newer(stage) if number % 2 else stage.send() for number in range(6)]
    old = stage.worker("old", no_relay=True)
    stage.worker("new", no_relay=True, schema_version=2)
    stage.await_all_done(within=30)
    stage.assert_each_once(both)
    by_old = {UUID(run["id"]) for run in stage.runs() if run["worker"] == "old"}
    assert not by_old & set(both[1::2])
    assert not old.log("message_dead")


def test_a_backlog_of_newer_messages_costs_next_to_nothing_and_is_told_once(stage: Harness) -> None:
    old = stage.worker("old")
    with stage.conn.transaction():
        newer = [send_newer(stage) for _ in range(30)]
    old.await_log("message_version_unknown")
    wait_until(lambda: stage.states().get("scheduled") == 30, 10, "each was looked at")
    before = old.cpu_seconds()
    time.sleep(2)
    assert old.cpu_seconds() - before < 0.6
    assert len(old.log("message_version_unknown")) == 1
    assert not stage.effects()
    assert stage.rows("select max(attempt) from message") == [(0,)]
    assert {id for (id,) in stage.rows("select id from message")} == set(newer)


def test_a_worker_with_skills_leaves_what_is_too_new_and_takes_the_next(stage: Harness) -> None:
    stage.relay()
    with stage.conn.transaction():
        newer = make(stage.prefix, version=2).play
        newer.send(stage.conn, {"mode": "ok"}, priority=9, routing_key="red", needs=["draw"])
        mine = stage.send(needs=["draw"])
    stage.await_states(sent=2)
    artist = stage.worker("artist", no_relay=True, skills="draw")
    artist.await_log("message_version_unknown")
    wait_until(lambda: list(stage.effects()) == [mine], 10, "the next is done")


def test_a_task_of_the_next_release_waits_when_it_says_that_it_is_new(stage: Harness) -> None:
    worker = stage.worker("old")
    for headers in ('{"format": 2}', None):
        stage.conn.execute(
            "select outbox_task(gen_random_uuid(), 'dance', %s, %s, 'red', 0, '{}', %s)",
            [stage.sample.queue("red"), stage.prefix, headers],
        )
    worker.await_log("message_version_unknown")
    (dead,) = stage.await_dead()
    assert "no task named 'dance'" in dead.properties["application_headers"]["reason"]
    assert stage.rows("select task, headers from message where task is not null") == [
        ("dance", {"format": 2})
    ]


def test_what_is_unknown_in_a_message_is_kept_on_all_its_ways(stage: Harness) -> None:
    """Retried, taken over from a dead worker, dead, looked at, and sent again by hand."""
    stage.worker("next")
    first = send_newer(stage, "fail", schema_version=1, times=1)
    stage.worker("mortal")
    second = send_newer(stage, "exit", schema_version=1, times=1)
    stage.await_all_done(within=20)
    stage.assert_each_once([first, second])

    newer = make(stage.prefix).play
    body = {"mode": "hopeless", "new": UNKNOWN}
    dead = newer.send(
        stage.conn, body, routing_key="red", headers={"new": UNKNOWN}, priority=3, needs=["draw"]
    )
    wait_until(lambda: stage.ready(DEAD_LETTERS) == 1, 15, "it is dead")
    for process in stage.processes:
        process.kill9()
    (letter,) = management.list_dead_letters(stage.conn)
    assert (letter.body, letter.attempt, letter.runs) == (body, 1, 1)
    assert "Hopeless: no use" in (letter.traceback or "")
    assert management.retry(stage.conn, letter.id)
    columns = "id, task, convert_from(body, 'UTF8')::json, headers, priority, needs"
    assert stage.rows(f"select {columns} from message where task is not null") == [
        (dead, "play", body, {"new": UNKNOWN}, 3, ["draw"])
    ]
