"""Ten thousand bad days: no schedule breaks a promise, and each guard taken out does."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.simulation.guards import GUARDS
from tests.simulation.world import Verdict, simulate

SCHEDULES = 10_000
# A guard is found missing within some hundred.
PATIENCE = 3_000


def test_no_schedule_of_ten_thousand_breaks_a_promise() -> None:
    with closing(simulate(range(SCHEDULES))) as verdicts:
        broken = next((each for each in verdicts if each.violations), None)
    assert broken is None, how_to_replay(broken)


def how_to_replay(verdict: Verdict) -> str:
    """What was broken, and the command that shows how."""
    return "\n  ".join(
        [
            f"seed {verdict.seed} breaks a promise:",
            *verdict.violations,
            "its trace:",
            f".venv/bin/python -m tests.simulation --seed {verdict.seed} --trace",
        ]
    )


@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_a_violation_is_found(guard: str) -> None:
    with closing(simulate(range(PATIENCE), off=frozenset({guard}))) as verdicts:
        found = next((each for each in verdicts if each.violations), None)
    assert found is not None
    # It is the guard that was missing, not the schedule that is impossible
    [guarded] = simulate(range(found.seed, found.seed + 1))
    assert not guarded.violations


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
