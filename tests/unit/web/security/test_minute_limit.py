"""The limit of requests a minute is exact for each client, with many threads at the same time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pizza.web.security.rate_limits import MinuteLimit, rate_limit_problem

THREADS = 8
# Enough for the fault that the lock prevents to show in nearly every run.
HITS = 20_000


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads give way as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_switches")
def test_threads_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", broken.append)
    monkeypatch.setattr(threading, "excepthook", broken.append)
    limit = MinuteLimit(1_000_000_000)

    def hit(client: str) -> bool:
        return all(limit.hit(client) for _ in range(HITS))

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(hit, map(str, range(THREADS))))
    assert broken == []


def test_the_count_is_exact_and_each_client_has_its_own() -> None:
    limit = MinuteLimit(100)
    with ThreadPoolExecutor(THREADS) as threads:
        hits = [*threads.map(lambda _: limit.hit("one"), range(200))]

    assert hits.count(True) == 100
    assert not limit.test("one")
    assert limit.test("another")


def test_a_client_beyond_its_limit_gets_the_time_to_wait() -> None:
    problem = rate_limit_problem("Too many.")
    assert (problem.status, problem.headers) == (429, (("Retry-After", "60"),))
