"""The table of messages is vacuumed by the number of its dead rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.taskqueue.outbox.vacuum import Vacuum

DEAD = "select n_dead_tup from pg_stat_all_tables where relid = 'message'::regclass"


ROLE = "no_owner_of_tables"


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    # The table is the one of earlier tests, with their dead rows.
    Vacuum(db_url).run()
    with connect(db_url, name="test") as open_connection:
        yield open_connection


class Said(list[str]):
    """What the keeper was asked to log."""

    def __call__(self, about: str, text: str) -> None:
        self.append(text)


def wear(conn: BoundedConnection, messages: int) -> None:
    """Write messages and delete them."""
    conn.execute(
        "insert into message (exchange, routing_key, body) "
        "select 'x', 'x', '' from generate_series(1, %s)",
        [messages],
    )
    conn.execute("delete from message")
    conn.execute("select pg_stat_force_next_flush()")


def dead(conn: BoundedConnection) -> int:
    row = conn.execute(DEAD).fetchone()
    assert row is not None
    found: int = row[0]
    return found


def pages(conn: BoundedConnection) -> int:
    row = conn.execute("select pg_relation_size('message') / 8192").fetchone()
    assert row is not None
    found: int = row[0]
    return found


def test_enough_dead_rows_are_vacuumed_in_the_background(
    conn: BoundedConnection, db_url: str
) -> None:
    wear(conn, 1000)
    vacuum = Vacuum(db_url, threshold=900)
    said = Said()
    vacuum.maybe_run(conn, said)
    vacuum.wait(30)
    assert dead(conn) < 900
    assert said == []


def test_a_few_dead_rows_are_left_alone(conn: BoundedConnection, db_url: str) -> None:
    wear(conn, 800)
    vacuum = Vacuum(db_url, threshold=900)
    vacuum.maybe_run(conn, Said())
    vacuum.wait(30)
    assert dead(conn) == 800


def test_freed_pages_are_kept_so_plans_do_not_assume_an_empty_table(
    conn: BoundedConnection, db_url: str
) -> None:
    wear(conn, 3000)
    before = pages(conn)
    Vacuum(db_url).run()
    assert pages(conn) == before > 8
    plan = conn.execute("explain select count(*) from message where state = 'claimed'").fetchall()
    assert any("message_claimed" in line for (line,) in plan)


def test_a_vacuum_that_fails_is_a_line_in_the_log_and_not_tried_again_at_once(
    conn: BoundedConnection, caplog: pytest.LogCaptureFixture
) -> None:
    wear(conn, 10)
    vacuum = Vacuum("postgresql://nobody:secret@127.0.0.1:1/none", threshold=5)
    for _ in range(2):
        vacuum.maybe_run(conn, Said())
        vacuum.wait(30)
    assert [record.__dict__["action"] for record in caplog.records] == ["vacuum_failed"]


def test_for_a_role_that_does_not_own_the_table_the_log_names_the_remedy(
    conn: BoundedConnection, db_url: str
) -> None:
    wear(conn, 1000)
    before = dead(conn)
    conn.execute(f"create role {ROLE}")
    try:
        conn.execute(f"set role {ROLE}")
        vacuum, said = Vacuum(db_url, threshold=900), Said()
        for _ in range(3):
            vacuum.maybe_run(conn, said)
            vacuum.wait(30)
    finally:
        conn.execute("reset role")
        conn.execute(f"drop role {ROLE}")
    (text,) = said
    assert "may not vacuum the table `message`" in text
    assert "own the tables that --setup-db makes, or grant it that role" in text
    assert dead(conn) == before
