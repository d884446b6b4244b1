"""The republisher distinguishes lost messages from those on their way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from pizza.database.queries import Queries
from pizza.taskqueue.outbox import republisher as module
from pizza.taskqueue.outbox.republisher import INTERVAL_S, MAX_IN_HAND, Republisher
from pizza.taskqueue.testing import FakeConnection
from pizza.taskqueue.topology import Topology

SQL = Queries("taskqueue/keeper")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """Stands in for the time module."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class StubBroker:
    """Answers how many messages are ready; None: no such queue."""

    def __init__(self) -> None:
        self.ready: int | None = 0
        self.declared = 0

    def queue_stats(self, queues: Sequence[str]) -> dict[str, tuple[int, int]]:
        return {} if self.ready is None else dict.fromkeys(queues, (self.ready, 1))

    def declare(self, topology: Topology) -> None:
        self.declared += 1


class StubPublisher:
    """Accepts everything."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    def publish(self, batch: Sequence[Any]) -> list[None]:
        self.positions += [
            message.properties["application_headers"]["position"] for _, _, message in batch
        ]
        return [None] * len(batch)


class RepublisherCase:
    """A republisher, and a queue in which so many messages wait that were sent long ago."""

    def __init__(self, clock: Clock, waiting: int) -> None:
        self.clock, self.broker, self.publisher = clock, StubBroker(), StubPublisher()
        self.waiting = waiting
        self.conn = FakeConnection(
            {
                SQL.queues_with_waiting: [("q",)],
                SQL.count_waiting: lambda values: [(min(values["limit"], self.waiting),)],
                SQL.count_workers: [(0,)],
                SQL.waiting_page: self._page,
                SQL.next_priority: [(None,)],
                SQL.newest_claimed: [],
                SQL.current_time: [(NOON,)],
            }
        )
        self.republisher = Republisher(self.conn, Topology())  # type: ignore[arg-type]
        self.republisher._publisher = self.publisher  # type: ignore[assignment]

    def _page(self, values: dict[str, Any]) -> list[Any]:
        first = values["after"] + 1
        return [_row(n) for n in range(max(1, first), self.waiting + 1)][: values["limit"]]

    def run_check(self, times: int = 1) -> int:
        """Run so many checks, and publish what they ask for; returns how many messages."""
        for _ in range(times):
            self.clock.now += INTERVAL_S + 0.1
            self.step()
            while self.republisher.is_busy:
                self.step()
        return len(self.publisher.positions)

    def step(self) -> None:
        self.republisher.step(self.broker)  # type: ignore[arg-type]

    def count(self, query: str) -> int:
        return sum(text == query for text, _ in self.conn.statements)


def _row(position: int) -> Any:
    return SimpleNamespace(
        position=position, id=UUID(int=position), task="t", exchange="", routing_key="q",
        priority=0, headers=None, body=b"", attempt=0, created_at=NOON, refusals=0,
    )  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_messages_of_a_wrongly_empty_queue_are_published_again_after_the_second_check(
    clock: Clock,
) -> None:
    case = RepublisherCase(clock, 3)
    assert case.run_check() == 0
    assert case.run_check() == 3


def test_a_missing_queue_is_declared_at_once(clock: Clock) -> None:
    case = RepublisherCase(clock, 3)
    case.broker.ready = None
    assert case.run_check() == 0
    assert case.broker.declared == 1
    assert case.run_check() == 3


@pytest.mark.parametrize(
    ("waiting", "ready", "is_lost"),
    [
        (1 + MAX_IN_HAND, 1, False),
        (200, 200 - MAX_IN_HAND, False),
        (200, 200 - MAX_IN_HAND - 1, True),
        (200, 500, False),
    ],
)
def test_a_few_may_be_in_hand(clock: Clock, waiting: int, ready: int, is_lost: bool) -> None:
    case = RepublisherCase(clock, waiting)
    case.broker.ready = ready
    assert case.run_check(2) == (waiting if is_lost else 0)


def test_a_queue_that_was_short_once_is_not_sent_again_when_it_is_so_much_later(
    clock: Clock,
) -> None:
    case = RepublisherCase(clock, 3)
    case.run_check()
    case.broker.ready = 3
    case.run_check()
    case.broker.ready = 0
    assert case.run_check() == 0


def test_a_large_queue_is_sent_again_in_slices_once_each_in_order(clock: Clock) -> None:
    case = RepublisherCase(clock, 1200)
    case.run_check()
    case.clock.now += INTERVAL_S + 0.1
    case.step()
    sizes = []
    while case.republisher.is_busy:
        before = len(case.publisher.positions)
        case.step()
        sizes.append(len(case.publisher.positions) - before)
    assert sizes == [500, 500, 200]
    assert case.publisher.positions == list(range(1, 1201))


def test_a_queue_that_stays_short_is_sent_again_after_growing_pauses(clock: Clock) -> None:
    case = RepublisherCase(clock, 3)
    moments, before = [], 0
    for _ in range(60):
        if case.run_check() > before:
            before = len(case.publisher.positions)
            moments.append(clock.now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert gaps[0] >= 5
    assert all(later > earlier for earlier, later in itertools.pairwise(gaps))


def test_checks_keep_their_interval(clock: Clock) -> None:
    case = RepublisherCase(clock, 3)
    case.run_check()
    for _ in range(5):
        case.step()
    assert case.count(SQL.queues_with_waiting) == 1
