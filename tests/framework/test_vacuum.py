"""The table of messages is vacuumed by the number of its dead rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.framework.vacuum import Vacuum

DEAD = "select n_dead_tup from pg_stat_all_tables where relid = 'message'::regclass"


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="test") as open_connection:
        yield open_connection


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
    vacuum = Vacuum(db_url, enough=900)
    with conn.transaction():  # as a chore is run
        vacuum.look(conn)
    vacuum.wait(30)
    assert dead(conn) < 900


def test_a_few_dead_rows_are_left_alone(conn: BoundedConnection, db_url: str) -> None:
    wear(conn, 800)
    vacuum = Vacuum(db_url, enough=900)
    vacuum.look(conn)
    vacuum.wait(30)
    assert dead(conn) == 800


def test_the_room_of_what_is_gone_is_kept_so_that_plans_are_not_made_for_an_empty_table(
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
    vacuum = Vacuum("postgresql://nobody:secret@127.0.0.1:1/none", enough=5)
    for _ in range(2):
        vacuum.look(conn)
        vacuum.wait(30)
    assert [record.__dict__["action"] for record in caplog.records] == ["vacuum_failed"]
