"""Periodic tasks: one process at a time runs them, and publishing does not wait for them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.taskqueue import App
from pizza.taskqueue.outbox.periodic import PeriodicRunner, PeriodicTask
from pizza.taskqueue.outbox.relay import Relay

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until

DAY = 86_400


def turns(harness: Harness) -> int:
    return int(harness.rows("select count(*) from turn")[0][0])


def test_a_task_is_run_by_the_leader_alone_and_goes_on_with_the_next(harness: Harness) -> None:
    first = harness.relay("first")
    harness.relay("second", ready=False)
    wait_until(lambda: turns(harness) >= 2, 10, "the task has its turns")
    watch, before = Stopwatch(), turns(harness)
    time.sleep(2)
    had = turns(harness) - before
    assert had <= 2 * watch.seconds + 2  # one of two relays has them, twice a second
    first.kill9()
    before = turns(harness)
    wait_until(lambda: turns(harness) >= before + 2, 10, "the task continues")


def test_a_periodic_task_that_fails_is_rolled_back_and_delays_no_others(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TOY_CHORE_FAILS", "1")
    relay = harness.relay()
    relay.await_log("periodic_task_failed", count=2)
    assert turns(harness) == 0
    job = harness.send()
    harness.worker("w", no_relay=True)
    harness.await_all_done()
    harness.assert_each_once([job])


# --- one runner, in this process ----------------------------------------------------------------


@contextmanager
def running(db_url: str, *tasks: PeriodicTask) -> Iterator[None]:
    runner = PeriodicRunner(tasks, db_url, name="test")
    runner.start()
    try:
        yield
    finally:
        runner.stop(10)


class Runs:
    """Counts its runs; `then` is called in each."""

    def __init__(self, then: Callable[[BoundedConnection], object] = lambda conn: None) -> None:
        self.number = 0
        self._then = then

    def __call__(self, conn: BoundedConnection) -> None:
        self.number += 1
        self._then(conn)


def test_three_restarts_run_a_daily_task_once(db_url: str) -> None:
    daily = Runs()
    for _ in range(3):
        # The other one runs after it: by its second run the daily one had its turn.
        other = Runs()
        with running(db_url, PeriodicTask("daily", DAY, daily), PeriodicTask("other", 0.05, other)):
            wait_until(lambda seen=other: seen.number >= 2, 10, "both had their turn")
    assert daily.number == 1


def test_a_task_that_is_overdue_runs_after_a_restart(db_url: str) -> None:
    daily = Runs()
    with running(db_url, PeriodicTask("daily", DAY, daily)):
        wait_until(lambda: daily.number == 1, 10, "it has run")
        wait_until(lambda: recorded(db_url) == ["daily"], 10, "and that is recorded")
    with psycopg.connect(db_url) as conn:
        conn.execute("update periodic_task set last_run_at = last_run_at - interval '1 day'")
    with running(db_url, PeriodicTask("daily", DAY, daily)):
        wait_until(lambda: daily.number == 2, 10, "it has run again")


def recorded(db_url: str) -> list[str]:
    with psycopg.connect(db_url) as conn:
        return [name for (name,) in conn.execute("select name from periodic_task order by name")]


@pytest.mark.parametrize(("seconds", "pause"), [(DAY, "60"), (0.2, "0.2")])
def test_a_run_that_failed_is_no_run_and_is_tried_again_soon(
    db_url: str, caplog: pytest.LogCaptureFixture, seconds: float, pause: str
) -> None:
    def fail(conn: BoundedConnection) -> None:
        conn.execute("insert into kitchen_closed default values")

    broken = Runs(fail)
    with caplog.at_level(logging.WARNING), running(db_url, PeriodicTask("x", seconds, broken)):
        wait_until(lambda: caplog.records, 10, "it says so")
        if seconds < 1:
            wait_until(lambda: broken.number >= 3, 10, "it is tried again")
    assert f"its next run is in {pause} s" in caplog.records[0].getMessage()
    assert recorded(db_url) == []


def test_what_it_does_survives_a_crash_of_the_server(db_url: str) -> None:
    found: list[Any] = []
    look = Runs(lambda conn: found.append(conn.execute("show synchronous_commit").fetchone()))
    with running(db_url, PeriodicTask("look", DAY, look)):
        wait_until(lambda: found, 10, "it has looked")
    assert found == [("on",)]


def test_two_runners_at_once_run_a_task_once(db_url: str) -> None:
    daily, first, second = Runs(), Runs(), Runs()
    task = PeriodicTask("daily", DAY, daily)
    with (
        running(db_url, task, PeriodicTask("first", 0.05, first)),
        running(db_url, task, PeriodicTask("second", 0.05, second)),
    ):
        wait_until(lambda: min(first.number, second.number) >= 2, 10, "both had their turn")
    assert daily.number == 1


def test_a_long_task_does_not_delay_publishing(harness: Harness) -> None:
    # Given a leader whose periodic task is in the middle of a long run
    began, let_go = threading.Event(), threading.Event()

    def work(conn: BoundedConnection) -> None:
        began.set()
        let_go.wait(120)

    app = App("slow", topology=harness.sample.app.topology)
    app.periodic(DAY, "slow")(work)
    relay = Relay(app, harness.db_url, harness.broker_url, name="slow")
    relay.start()
    try:
        assert began.wait(60)
        wait_until(lambda: relay.state() == "leading", 10, "it leads")
        # When messages are sent meanwhile, then each is published at once
        with connect(harness.db_url, name="sender") as conn:

            def is_sent() -> bool:
                row = conn.execute("select from message where state = 'pending'").fetchone()
                return row is None

            for _ in range(5):
                watch = Stopwatch()
                harness.send()
                wait_until(is_sent, 5, "it is sent")
                watch.assert_within(0.5)
        assert not let_go.is_set()
    finally:
        let_go.set()
        relay.stop(10)
