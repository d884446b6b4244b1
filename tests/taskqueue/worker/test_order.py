"""A worker takes the best message of all its queues, and leaves the others."""

from __future__ import annotations

import random
from typing import Any

from ...support.taskqueue.sample_app import COLOURS
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until

ALL = ",".join(COLOURS)


def backlog(
    harness: Harness, each: int, mode: str = "ok", **more: Any
) -> dict[str, tuple[int, int]]:
    """Send to three queues, mixed; the rank of each message by its id: best first when sorted."""
    colours = list(COLOURS) * each
    random.Random(7).shuffle(colours)
    ranks = {}
    with harness.conn.transaction():
        for age, colour in enumerate(colours):
            priority = (1, 5, 10)[age * 7 % 3]
            id = harness.send(mode, colour, priority=priority, label=str(priority), **more)
            ranks[str(id)] = (-priority, age)
    harness.await_states(sent=len(colours))
    return ranks


def test_one_worker_goes_by_priority_then_age_across_its_queues(harness: Harness) -> None:
    harness.relay()
    ranks = backlog(harness, each=60)
    harness.worker("only", ALL, no_relay=True)
    harness.await_all_done(40)
    assert [run["id"] for run in harness.runs()] == sorted(ranks, key=ranks.__getitem__)


def test_several_workers_start_nothing_while_something_better_is_ready(harness: Harness) -> None:
    harness.relay()
    ranks = backlog(harness, each=30)
    count = 3
    harness.workers(count, ALL, no_relay=True)
    harness.await_all_done(40)
    started = [ranks[run["id"]] for run in harness.runs()]
    # At the end of a level, jobs of other workers may overtake one that a worker holds;
    # by how much says only how long that worker was kept from a processor.
    passed = [
        rank
        for place, rank in enumerate(started)
        if place and max(each[0] for each in started[:place]) > rank[0]
    ]
    assert len(passed) <= 4 * count, f"{passed} started after something worse"


def test_a_message_that_arrives_later_and_matters_more_is_next(harness: Harness) -> None:
    worker = harness.worker("w", ALL)
    gate = harness.gate()
    first = harness.send("sleep", "red", until=gate)
    harness.await_run(first)
    slow = harness.send("ok", "red", priority=1)
    urgent = harness.send("ok", "blue", priority=9)
    harness.await_states(claimed=1, sent=2)
    gate.open()
    harness.await_all_done()
    assert [run["id"] for run in harness.runs()] == [str(first), str(urgent), str(slow)]
    assert not worker.tracebacks()


def test_a_busy_worker_holds_no_message_that_another_could_start(harness: Harness) -> None:
    harness.relay()
    busy = harness.worker("busy", ALL, no_relay=True)
    gate = harness.gate()
    long = harness.send("sleep", "green", until=gate)
    harness.await_run(long)
    with harness.conn.transaction():
        for colour in COLOURS:
            harness.send("ok", colour)
    # Then everything else is ready at the broker, in all of its queues
    for colour in COLOURS:
        queue = harness.sample.queue(colour)
        wait_until(
            lambda queue=queue: harness.ready(queue) == 1, 5, f"the message of {colour} is ready"
        )
    # And another worker does it all, while the first is still at it
    harness.worker("idle", ALL, no_relay=True)
    wait_until(lambda: harness.shares()["idle"] == 3, 5, "the idle worker does the rest")
    assert not harness.runs("end", long)
    assert busy.running


def test_equal_workers_get_equal_shares(harness: Harness) -> None:
    harness.relay()
    harness.workers(3, ALL, no_relay=True)
    with harness.conn.transaction():
        for number in range(30):
            harness.send("sleep", COLOURS[number % 3], seconds=0.1)
    harness.await_all_done()
    shares = harness.shares()
    assert sum(shares.values()) == 30
    assert all(8 <= share <= 12 for share in shares.values()), shares


def test_equal_workers_get_equal_shares_of_what_comes_one_by_one(harness: Harness) -> None:
    harness.relay()
    harness.workers(3, ALL, no_relay=True)
    for number in range(15):
        harness.send("sleep", COLOURS[number % 3], seconds=0.05)
        wait_until(lambda number=number: len(harness.runs()) == number + 1, 5, "it begins")
    harness.await_all_done()
    assert all(3 <= share <= 7 for share in harness.shares().values()), harness.shares()
