"""Answers to requests while the database is away."""

import threading
import time
from contextlib import contextmanager

import pytest

from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.web.server.breaker import Breaker


class FakeConnection:
    """Answers the one question that a try asks."""

    def execute(self, query):
        assert query == "select 1"


class FakePool:
    """Returns connections, or fails after a delay."""

    def __init__(self):
        self.takes = 0.0
        self.fails = False
        self.asked = 0

    @contextmanager
    def connection(self, timeout):
        self.asked += 1
        time.sleep(min(self.takes, timeout))
        if self.fails:
            raise DatabaseUnavailable("away")
        yield FakeConnection()


@pytest.fixture
def pool():
    return FakePool()


def attempt(breaker, timeout=0.5):
    """How long one request waits, and whether it got its connection."""
    started = time.monotonic()
    try:
        with breaker.connection(timeout):
            return time.monotonic() - started, True
    except DatabaseUnavailable:
        return time.monotonic() - started, False


def many(breaker, count):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(attempt(breaker))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_closed_breaker_passes_all_calls(pool):
    assert [ok for _, ok in many(Breaker(pool), 20)] == [True] * 20


def test_a_cut_connection_does_not_open_the_breaker(pool):
    breaker = Breaker(pool)
    pool.fails = True
    assert attempt(breaker)[1] is False
    pool.fails = False
    assert [ok for _, ok in many(breaker, 20)] == [True] * 20


def test_while_the_server_hangs_one_thread_tries_and_requests_fail_at_once(pool):
    breaker = Breaker(pool)
    pool.fails, pool.takes = True, 0.5
    attempt(breaker)
    pool.asked = 0
    results = many(breaker, 20)
    assert [ok for _, ok in results] == [False] * 20
    assert max(wait for wait, _ in results) < 0.3
    assert pool.asked <= 1
    time.sleep(0.7)
    assert 1 <= pool.asked <= 3


def test_the_first_answer_closes_the_breaker_for_all(pool):
    breaker = Breaker(pool)
    pool.fails, pool.takes = True, 0.5
    attempt(breaker)
    pool.fails, pool.takes = False, 0.0
    until = time.monotonic() + 3
    while not attempt(breaker)[1] and time.monotonic() < until:
        time.sleep(0.02)
    assert [ok for _, ok in many(breaker, 20)] == [True] * 20


def test_a_request_that_fails_for_another_reason_says_nothing_about_the_server(pool):
    breaker = Breaker(pool)
    with pytest.raises(ZeroDivisionError), breaker.connection(0.5):
        time.sleep(0.45)
        raise ZeroDivisionError
    assert attempt(breaker) == (pytest.approx(0, abs=0.05), True)


def test_a_refusal_however_slow_is_one_requests_alone(pool):
    breaker = Breaker(pool)
    with pytest.raises(DatabaseTransientError), breaker.connection(1.0):
        time.sleep(0.45)  # a deadlock is found after a second
        raise DatabaseTransientError("deadlock detected")

    assert attempt(breaker)[1]
