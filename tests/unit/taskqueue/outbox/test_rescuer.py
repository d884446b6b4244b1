"""The rescuer treats no lease as expired after a gap in which no worker could renew it."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import pytest

from pizza.database.queries import Queries
from pizza.taskqueue.outbox import rescuer as module
from pizza.taskqueue.outbox.rescuer import Rescuer
from pizza.taskqueue.testing import FakeConnection

SQL = Queries("taskqueue/keeper")


class Clock:
    """Stands in for the time module."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class RescuerCase:
    """A rescuer, its clock and its database."""

    def __init__(self, clock: Clock, answers: dict[str, Any] | None = None) -> None:
        self.clock = clock
        self.conn = FakeConnection(answers)
        self._rescuer = Rescuer(self.conn)  # type: ignore[arg-type]

    def checks(self, after: float) -> bool:
        """Check again, so many seconds later; returns whether leases were checked."""
        self.clock.now += after
        before = len(self.conn.statements)
        self._rescuer.rescue()
        return SQL.rescue_orphaned in [text for text, _ in self.conn.statements[before:]]


def test_after_a_gap_no_lease_counts_as_expired_until_all_could_renew(clock: Clock) -> None:
    case = RescuerCase(clock)
    # Given that it has just started: it does not know which processes slept
    assert not case.checks(0)
    looks = [case.checks(1) for _ in range(6)]
    assert looks[0] is False and looks[-1] is True
    # When it, or the server, has slept, then again
    assert not case.checks(20)
    assert not case.checks(1)
    assert [case.checks(1) for _ in range(6)][-1]


def test_a_worker_whose_sessions_were_ended_and_each_message_are_logged(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    case = RescuerCase(
        clock,
        {
            SQL.expired_workers: [(7, "frozen")],
            SQL.terminate_worker: [(2,)],
            SQL.rescue_orphaned: [(UUID(int=1), "bake", "oven", True)],
        },
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            if case.checks(1):
                break
    actions = [record.__dict__["action"] for record in caplog.records]
    assert actions == ["worker_expired", "claim_orphaned"]
    assert caplog.records[1].__dict__["details"]["queue"] == "oven"
