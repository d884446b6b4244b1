"""The sweep's judgement: what is lost, what is only on its way, and who has slept."""

from __future__ import annotations

from typing import Any

import pytest

from pizza.database.queries import Queries
from pizza.framework import sweep as module
from pizza.framework.sweep import AUDIT_S, IN_HAND, Sweep
from pizza.framework.testing import Recorder

SQL = Queries("relay")


class Clock:
    """Stands in for the time module."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class StubBroker:
    """Answers how many messages are ready; None: no such queue."""

    def __init__(self) -> None:
        self.counts: dict[str, int | None] = {}
        self.declared = 0

    def ready(self, queue: str) -> int | None:
        return self.counts.get(queue, 0)

    def declare(self, topology: Any) -> None:
        self.declared += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Judge:
    """A sweep with what it looks at."""

    def __init__(self, clock: Clock, waiting: list[tuple[str, int]]) -> None:
        self.clock, self.broker = clock, StubBroker()
        self.conn = Recorder({SQL.waiting: lambda _: waiting, SQL.orphans: []})
        self.sweep = Sweep(self.conn)  # type: ignore[arg-type]

    def audit(self, times: int = 1) -> list[str]:
        """Look so many times; the queues whose tickets were sent again."""
        for _ in range(times):
            self.clock.now += AUDIT_S + 0.1
            self.sweep.audit(self.broker, None)  # type: ignore[arg-type]
        return [p["queue"] for text, p in self.conn.statements if text == SQL.send_again]

    def tidied(self, after: float) -> bool:
        """Tidy once more; whether orphans were looked for."""
        self.clock.now += after
        before = len(self.conn.statements)
        self.sweep.tidy()
        return SQL.orphans in [text for text, _ in self.conn.statements[before:]]


def test_an_empty_queue_that_should_not_be_is_believed_the_second_time(clock: Clock) -> None:
    judge = Judge(clock, [("q", 3)])
    assert judge.audit() == []
    assert judge.audit() == ["q"]


def test_a_queue_that_is_gone_is_declared_at_once(clock: Clock) -> None:
    judge = Judge(clock, [("q", 3)])
    judge.broker.counts["q"] = None
    assert judge.audit() == []
    assert judge.broker.declared == 1
    assert judge.audit() == ["q"]


@pytest.mark.parametrize(
    ("ready", "lost"), [(1, False), (200 - IN_HAND, False), (200 - IN_HAND - 1, True), (500, False)]
)
def test_a_few_may_be_in_hand(clock: Clock, ready: int, lost: bool) -> None:
    judge = Judge(clock, [("q", 1 + IN_HAND if ready == 1 else 200)])
    judge.broker.counts["q"] = ready
    assert judge.audit(2) == (["q"] if lost else [])


def test_what_was_short_once_is_forgotten_when_it_is_not_any_more(clock: Clock) -> None:
    judge = Judge(clock, [("q", 3)])
    judge.audit()
    judge.broker.counts["q"] = 3
    judge.audit()
    judge.broker.counts["q"] = 0
    assert judge.audit() == []


def test_it_does_not_look_more_often_than_it_should(clock: Clock) -> None:
    judge = Judge(clock, [("q", 3)])
    judge.audit()
    for _ in range(5):
        judge.sweep.audit(judge.broker, None)  # type: ignore[arg-type]
    assert sum(text == SQL.waiting for text, _ in judge.conn.statements) == 1


def test_after_a_gap_nobody_is_judged_until_all_could_renew(clock: Clock) -> None:
    judge = Judge(clock, [])
    # Given that it has just begun: it does not know who slept
    assert not judge.tidied(0)
    looks = [judge.tidied(1) for _ in range(6)]
    assert looks[0] is False and looks[-1] is True
    # When it, or the server, has slept, then again
    assert not judge.tidied(20)
    assert not judge.tidied(1)
    assert [judge.tidied(1) for _ in range(6)][-1]
