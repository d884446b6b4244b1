"""The connection of a thread, while the database refuses or drops it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.taskqueue import db_session as module
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import Released

REFUSED = DatabaseTransientError("read-only")


class FakeConnection:
    """Open until it is closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def db(
    waits: list[float], clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> ReconnectingConnection:
    monkeypatch.setattr(module, "connect", lambda *_, **__: FakeConnection())

    def sleep(seconds: float) -> bool:
        waits.append(seconds)
        clock[0] += seconds
        return False

    return ReconnectingConnection("", name="test", sleep=sleep)


def test_a_refusal_keeps_the_connection_and_waits_ever_longer(
    db: ReconnectingConnection, waits: list[float]
) -> None:
    first = db.connection()
    for _ in range(12):
        db.invalidate(REFUSED)
        assert db.connection() is first
    assert len(waits) == 12
    assert waits[0] <= 0.1
    assert max(waits) <= 2.0 and min(waits[-3:]) >= 1.0


def test_a_loss_makes_a_new_one_at_once(db: ReconnectingConnection, waits: list[float]) -> None:
    first = db.connection()
    db.invalidate(DatabaseUnavailable("cut"))
    assert db.connection() is not first
    assert not waits


def test_a_loss_is_logged_once_and_its_end_when_nothing_is_refused(
    db: ReconnectingConnection, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    def logged() -> list[Any]:
        return [record.__dict__["action"] for record in caplog.records]

    caplog.set_level(logging.INFO)
    for _ in range(3):
        db.connection()  # the claim passes
        db.connection()  # and what follows it
        db.invalidate(REFUSED)
    assert logged() == ["database_lost"]
    clock[0] += 6
    db.connection()  # waits, and knows nothing yet
    assert logged()[:1] == ["database_lost"]
    clock[0] += 6
    db.connection()
    assert logged() == ["database_lost", "database_reconnected"]


def test_a_process_that_stops_waits_for_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "connect", lambda *_, **__: FakeConnection())
    db = ReconnectingConnection("", name="test", sleep=lambda _: True)
    db.connection()
    db.invalidate(REFUSED)
    with pytest.raises(Released):
        db.connection()
