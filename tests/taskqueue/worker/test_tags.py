"""Workers that name their skills take only what needs nothing else, and never spin."""

from __future__ import annotations

import time

from ...support.taskqueue.worker_process import Harness


def test_a_worker_with_skills_takes_what_it_is_good_at_best_first(stage: Harness) -> None:
    stage.relay()
    jobs = {
        label: stage.send(priority=priority, label=label, needs=needs)
        for label, priority, needs in (
            ("late", 1, ["draw"]), ("soon", 9, ["draw"]), ("both", 5, ["draw", "sing"]),
            ("song", 9, ["sing"]), ("dance", 9, ["dance"]), ("anybody", 9, None),
        )
    }  # fmt: skip
    stage.await_states(sent=6)
    stage.worker("artist", skills="draw,sing", no_relay=True)
    stage.await_states(sent=2, within=15)
    assert [run["label"] for run in stage.runs()] == ["soon", "song", "both", "late"]
    stage.assert_each_once([jobs[label] for label in ("late", "soon", "both", "song")])
    # The rest is for somebody without a speciality, whom the old deliveries do not disturb.
    stage.worker("all-rounder", no_relay=True)
    stage.await_all_done()
    stage.assert_each_once(list(jobs.values()))


def test_with_nothing_to_be_good_at_it_costs_next_to_nothing(stage: Harness) -> None:
    stage.relay()
    for _ in range(50):
        stage.send(needs=["dance"])
    stage.await_states(sent=50)
    worker = stage.worker("artist", skills="draw", no_relay=True)
    before = worker.cpu_seconds()
    time.sleep(3)
    assert worker.cpu_seconds() - before < 0.15
    assert stage.states()["sent"] == 50


def test_what_a_dead_worker_had_in_hand_is_sent_again(stage: Harness) -> None:
    stage.relay()
    job = stage.send("exit", times=1, needs=["draw"])
    stage.await_states(sent=1)
    stage.worker("mortal", skills="draw", no_relay=True, ready=False)
    stage.await_run(job)
    # Its delivery is long gone: somebody else had it while it was held.
    stage.drain(stage.sample.queue("red"))
    stage.worker("heir", no_relay=True)
    stage.await_all_done(within=30)
    stage.assert_each_once([job])
