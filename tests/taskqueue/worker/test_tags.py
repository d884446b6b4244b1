"""Workers with tags take only messages that require no other tag, and never spin."""

from __future__ import annotations

import time

from ...support.taskqueue.worker_process import Harness


def test_a_worker_with_skills_takes_what_it_is_good_at_best_first(harness: Harness) -> None:
    harness.relay()
    jobs = {
        label: harness.send(priority=priority, label=label, required_tags=needs)
        for label, priority, needs in (
            ("late", 1, ["draw"]),
            ("soon", 9, ["draw"]),
            ("both", 5, ["draw", "sing"]),
            ("song", 9, ["sing"]),
            ("dance", 9, ["dance"]),
            ("anybody", 9, None),
        )
    }
    harness.await_states(sent=6)
    harness.worker("artist", skills="draw,sing", no_relay=True)
    harness.await_states(sent=2, within=15)
    assert [run["label"] for run in harness.runs()] == ["soon", "song", "both", "late"]
    harness.assert_each_once([jobs[label] for label in ("late", "soon", "both", "song")])
    # The rest is for a worker without tags, which the old deliveries do not disturb.
    harness.worker("all-rounder", no_relay=True)
    harness.await_all_done()
    harness.assert_each_once(list(jobs.values()))


def test_with_nothing_to_be_good_at_it_costs_next_to_nothing(harness: Harness) -> None:
    harness.relay()
    for _ in range(50):
        harness.send(required_tags=["dance"])
    harness.await_states(sent=50)
    worker = harness.worker("artist", skills="draw", no_relay=True)
    before = worker.cpu_seconds()
    time.sleep(3)
    assert worker.cpu_seconds() - before < 0.15
    assert harness.states()["sent"] == 50


def test_what_a_dead_worker_had_in_hand_is_sent_again(harness: Harness) -> None:
    harness.relay()
    job = harness.send("exit", times=1, required_tags=["draw"])
    harness.await_states(sent=1)
    harness.worker("mortal", skills="draw", no_relay=True, ready=False)
    harness.await_run(job)
    # Its delivery is gone: another worker received it while the message was locked.
    harness.drain(harness.sample.queue("red"))
    harness.worker("heir", no_relay=True)
    harness.await_all_done(within=30)
    harness.assert_each_once([job])
