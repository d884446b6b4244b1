"""In thousands of schedules no guarantee is broken, and each guard that is taken out is missed.

python -m tests.simulation runs more of them.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context

import pytest

from tests.simulation.guards import GUARDS
from tests.simulation.world import Verdict, simulate

SCHEDULES = 4_000
PART = 250
# The others leave time for processes that run at the same time.
PROCESSES = max(1, (os.cpu_count() or 1) // 2)
# A guard is found missing within some hundred.
SEEDS = 3_000
REMEDIES = (
    "Duplicate dropped", "Token refused", "Released", "next in", "Dead after attempt",
    "The worker of a message is gone", "The broker has lost messages", "Leading relay is frozen",
    "A message cannot be published, next in", "PostgreSQL is back", "RabbitMQ is back",
    "Worker is back", "Its row is locked; delivered later", "Relay gives the lead",
    "its sessions are ended", "Messages were overtaken", "Deliveries of messages that are gone",
)  # fmt: skip


def test_no_schedule_of_thousands_breaks_a_guarantee() -> None:
    parts = [range(first, first + PART) for first in range(0, SCHEDULES, PART)]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
        broken = next((each for each in processes.map(first_broken, parts) if each), None)
        processes.shutdown(cancel_futures=True)
    assert broken is None, how_to_replay(broken)


def first_broken(seeds: range, off: frozenset[str] = frozenset()) -> Verdict | None:
    """The first of these schedules that breaks a guarantee."""
    with closing(simulate(seeds, off=off)) as verdicts:
        return next((each for each in verdicts if each.violations), None)


def how_to_replay(verdict: Verdict) -> str:
    """What was broken, and the command that shows how."""
    return "\n  ".join(
        [
            f"seed {verdict.seed} breaks a guarantee:",
            *verdict.violations,
            "its trace:",
            f".venv/bin/python -m tests.simulation --seed {verdict.seed} --trace",
        ]
    )


@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_a_violation_is_found(guard: str) -> None:
    found = first_broken(range(SEEDS), frozenset({guard}))
    assert found is not None
    # It is the guard that was missing, not the schedule that is impossible
    assert first_broken(range(found.seed, found.seed + 1)) is None


def test_the_faults_reach_the_code_that_handles_them() -> None:
    wanted = set(REMEDIES)
    with closing(simulate(range(SEEDS), traced=True)) as verdicts:
        for verdict in verdicts:
            text = "\n".join(verdict.trace)
            wanted -= {remedy for remedy in wanted if remedy in text}
            if not wanted:
                break
    assert not wanted


def test_a_seed_gives_the_same_schedule_again_traced_or_not() -> None:
    seeds = range(40, 45)
    traced, again = (list(simulate(seeds, traced=True)) for _ in range(2))
    assert traced == again
    assert all(verdict.trace for verdict in traced)
    plain = list(simulate(seeds))
    assert [(v.steps, v.seconds) for v in plain] == [(v.steps, v.seconds) for v in traced]


def test_a_violation_comes_with_the_command_that_replays_it() -> None:
    text = how_to_replay(Verdict(7, ["message 0001: lost"], 1, 1.0))
    assert "message 0001: lost" in text
    assert "python -m tests.simulation --seed 7 --trace" in text
