"""Connections and the pool: each wait ends, and a server that is back is used again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from devservices import Postgres
from pizza.database.connection import connect
from pizza.database.errors import DatabaseUnavailable
from pizza.database.pool import Pool

from ...support.waiting import Stopwatch, wait_until


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail when the block takes longer."""
    watch = Stopwatch()
    yield
    watch.assert_within(seconds)


@contextmanager
def hung(postgres: Postgres) -> Iterator[None]:
    postgres.pause()
    try:
        yield
    finally:
        postgres.resume()


@pytest.fixture
def pool(db_url: str) -> Iterator[Pool]:
    pool = Pool(db_url, size=3, name="test pool")
    yield pool
    pool.close()


def answers(pool: Pool) -> bool:
    try:
        with pool.connection() as conn:
            return conn.execute("select 1").fetchone() == (1,)
    except DatabaseUnavailable:
        return False


def await_answer(pool: Pool, seconds: float) -> None:
    wait_until(lambda: answers(pool), seconds, "an answer")


def test_an_absent_server_is_reported_at_once() -> None:
    with within(2), pytest.raises(DatabaseUnavailable):
        connect("postgresql://nobody@127.0.0.1:1/nothing", name="test")


def test_a_hung_server_is_reported_in_bounded_time(postgres: Postgres, db_url: str) -> None:
    with connect(db_url, name="test") as conn:
        assert conn.execute("select 1").fetchone() == (1,)
        with hung(postgres):
            with within(8), pytest.raises(DatabaseUnavailable):
                connect(db_url, name="test")
            with within(2), conn.timeout_scope(1), pytest.raises(DatabaseUnavailable):
                conn.execute("select 1")
    # A late answer could be read as that of the next statement
    assert conn.closed


def test_a_slow_statement_is_given_up_and_a_quick_one_is_not(db_url: str) -> None:
    with connect(db_url, name="test") as conn, conn.timeout_scope(1):
        assert conn.execute("select pg_sleep(0.2)").fetchone() == ("",)
        with within(2), pytest.raises(DatabaseUnavailable, match="in time"):
            conn.execute("select pg_sleep(30)")


def test_connections_are_in_utc_and_known_by_name(db_url: str) -> None:
    with connect(db_url, name="a name") as conn:
        row = conn.execute(
            "select current_setting('TimeZone'), current_setting('application_name')"
        )
        assert row.fetchone() == ("UTC", "a name")
        assert conn.autocommit


def test_a_pool_without_a_server_answers_in_time() -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/nothing", size=2, name="nowhere")
    try:
        with within(1.5), pytest.raises(DatabaseUnavailable):
            pool.connection(timeout=0.5).__enter__()
    finally:
        pool.close()


def test_a_full_pool_says_so_in_time(pool: Pool) -> None:
    await_answer(pool, 5)
    taken = [pool.connection() for _ in range(3)]
    with taken[0], taken[1], taken[2], within(1):  # noqa: SIM117
        with pytest.raises(DatabaseUnavailable, match="came free"):
            pool.connection(timeout=0.3).__enter__()
    assert answers(pool)


def test_a_wrong_statement_costs_no_connection(pool: Pool) -> None:
    await_answer(pool, 5)
    for _ in range(10):
        with pytest.raises(psycopg.errors.UndefinedTable), pool.connection() as conn:
            conn.execute("select * from nowhere")
    assert answers(pool)


def test_after_a_crash_the_pool_is_whole_again(postgres: Postgres, pool: Pool) -> None:
    await_answer(pool, 5)
    postgres.kill9()
    try:
        with within(3):
            assert not answers(pool)
    finally:
        postgres.start()
    await_answer(pool, 6)
    failures = [answers(pool) for _ in range(20)].count(False)
    assert failures <= 2  # what is left of the dead, at most


def test_a_hung_server_delays_callers_for_a_bounded_time(postgres: Postgres, pool: Pool) -> None:
    await_answer(pool, 5)
    results: list[bool] = []
    with hung(postgres), within(8):
        threads = [
            threading.Thread(target=lambda: results.append(answers(pool))) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [False] * 10
    await_answer(pool, 6)
