"""An event whose handler always fails becomes a dead letter, and later events follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from devservices import Postgres
from devservices.ports import free_port

from ...support.taskqueue.sample_subscriber import ATTEMPTS, SCHEMA
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until
from .test_subscriber import await_received, ns, reason, shout, shout_all

# The ledger handler of an event {"id": [1]}: an expression of another type, a function that is not.
WRONG_TYPE = "insert into heard (event_id, n) values ('x', array[1])"
NO_FUNCTION = "select length(array[1])"
NO_TABLE = "insert into a_table_that_never_comes values (1)"
STATEMENT_TIMEOUT_MS = 200
LOCKED_S = 3.0


@pytest.fixture
def received(harness: Harness) -> Callable[[], list[int]]:
    harness.conn.execute(SCHEMA)
    return lambda: [n for (n,) in harness.rows("select n from heard order by position")]


@pytest.mark.parametrize(
    "state, body",
    [
        ("DatatypeMismatch", {"sql": WRONG_TYPE}),
        ("UndefinedFunction", {"sql": NO_FUNCTION}),
        ("InFailedSqlTransaction", {"sql": "select 1 / 0", "swallows": True}),
    ],
    ids=["42804", "42883", "25P02"],
)
def test_an_error_of_its_statements_is_tried_as_often_as_the_policy_says(
    harness: Harness, received: Callable[[], list[int]], state: str, body: dict[str, object]
) -> None:
    subscriber = harness.subscriber()
    harness.relay()
    shout_all(harness, [{"n": 1, "mode": "ok", **body}, *({"n": n, "mode": "ok"} for n in (2, 3))])
    await_received(received, 2)
    assert received() == [2, 3]
    assert ns(harness) == [1] * ATTEMPTS + [2, 3]
    (dead_letter,) = harness.await_dead()
    assert reason(dead_letter).startswith(f"{state}: ")
    assert len(subscriber.log("event_retried")) == ATTEMPTS - 1
    assert not subscriber.log("database_lost") + subscriber.log("database_refused")
    assert subscriber.running and not subscriber.tracebacks()


def test_an_error_of_another_database_is_tried_as_often_as_the_policy_says(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    subscriber = harness.subscriber()
    harness.relay()
    shout(harness, 1, "elsewhere", url=f"postgresql://nobody@127.0.0.1:{free_port()}/elsewhere")
    shout(harness, 2)
    await_received(received, 1)
    assert received() == [2]
    assert ns(harness) == [1] * ATTEMPTS + [2]
    (dead_letter,) = harness.await_dead()
    assert reason(dead_letter).startswith("DatabaseUnavailable: ")
    assert not subscriber.log("database_lost")


@contextmanager
def statement_timeout(postgres: Postgres, harness: Harness) -> Iterator[None]:
    """For the length of a block the database gives each new session a short statement_timeout."""
    name = Identifier(str(harness.conn.info.dbname))
    with postgres.connect() as admin:
        admin.execute(
            SQL("alter database {} set statement_timeout = {}").format(name, STATEMENT_TIMEOUT_MS)
        )
        try:
            yield
        finally:
            admin.execute(SQL("alter database {} reset statement_timeout").format(name))


def test_a_statement_timeout_of_the_database_dead_letters_no_event(
    harness: Harness, received: Callable[[], list[int]], postgres: Postgres
) -> None:
    with statement_timeout(postgres, harness), psycopg.connect(harness.db_url) as locker:
        subscriber = harness.subscriber()
        locker.execute("lock table heard")
        shout(harness, 1)
        wait_until(lambda: ns(harness) == [1], 10, "it is being handled")
        locked = Stopwatch()
        wait_until(lambda: locked.seconds > LOCKED_S, LOCKED_S, "it has waited for the lock")
        locker.rollback()
        await_received(received, 1)
    assert received() == [1]
    assert not subscriber.log("event_dead") + subscriber.log("event_retried")
    assert subscriber.running and not subscriber.tracebacks()


def test_a_statement_cancelled_by_an_operator_dead_letters_no_event(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    subscriber = harness.subscriber()
    with psycopg.connect(harness.db_url) as locker:
        locker.execute("lock table heard")
        shout(harness, 1)
        cancelled = 0
        cancel = """select pg_cancel_backend(pid) from pg_stat_activity
                    where application_name = 'sample s' and datname = current_database()
                      and wait_event_type = 'Lock'"""
        while cancelled <= ATTEMPTS:
            wait_until(lambda: harness.rows(cancel), 15, "its statement waits, and is cancelled")
            cancelled += 1
        locker.rollback()
    await_received(received, 1)
    assert received() == [1]
    assert not subscriber.log("event_dead") + subscriber.log("event_retried")


def test_a_table_that_never_comes_is_waited_for_and_then_the_policy_decides(
    harness: Harness, received: Callable[[], list[int]]
) -> None:
    subscriber = harness.subscriber(migration=1)
    harness.relay()
    shout_all(harness, [{"n": 1, "mode": "ok", "sql": NO_TABLE}, {"n": 2, "mode": "ok"}])
    await_received(received, 1, within=30)
    assert received() == [2]
    (dead_letter,) = harness.await_dead()
    assert reason(dead_letter).startswith("UndefinedTable: ")
    assert len(subscriber.log("event_retried")) == ATTEMPTS - 1
    assert len(subscriber.log("database_refused")) <= ATTEMPTS
    assert subscriber.running
