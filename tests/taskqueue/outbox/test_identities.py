"""Ids that senders choose are kept while their message exists, and for half a day after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.database.queries import Queries

PRUNE = Queries("taskqueue/keeper").prune_identities
HALF_A_DAY = "12 hours 1 minute"


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="keeper") as open_connection:
        yield open_connection


def send(conn: BoundedConnection, count: int = 1) -> list[str]:
    """Messages under given ids, as `send(message_id=)` writes them."""
    return [
        row[0]
        for row in conn.execute(
            """select id::text from (select gen_random_uuid() as id from generate_series(1, %s)) x
               where outbox_enqueue_task_once(id, 'bake', 'q', '', 'q', 0, '')""",
            [count],
        ).fetchall()
    ]


def later(conn: BoundedConnection, by: str = HALF_A_DAY) -> None:
    conn.execute("update inbox_message set checked_at = checked_at - %s::interval", [by])


def prune(conn: BoundedConnection, limit: int = 100) -> int:
    row: Any = conn.execute(PRUNE, {"limit": limit}).fetchone()
    return int(row[0])


def known(conn: BoundedConnection) -> set[str]:
    return {id for (id,) in conn.execute("select id::text from inbox_message").fetchall()}


def test_the_id_of_a_living_message_stays(conn: BoundedConnection) -> None:
    ids = send(conn, 2)
    for _ in range(3):
        later(conn)
        assert prune(conn) == 0
    assert known(conn) == set(ids)


def test_the_id_of_an_ended_message_is_pruned_by_the_second_run_half_a_day_later(
    conn: BoundedConnection,
) -> None:
    send(conn)
    (living,) = send(conn)
    conn.execute("delete from message where id <> %s", [living])
    # The first look is half a day after it was sent, and marks it.
    assert prune(conn) == 0
    later(conn)
    assert prune(conn) == 0
    # A look in between does not count.
    later(conn, "11 hours")
    assert prune(conn) == 0
    assert len(known(conn)) == 2
    later(conn, "1 hour 1 minute")
    assert prune(conn) == 1
    assert known(conn) == {living}


def test_the_id_of_a_dead_message_stays_as_it_may_be_sent_again(conn: BoundedConnection) -> None:
    (id,) = send(conn)
    conn.execute(
        "select message_dead_letter(%s::uuid, null, 'dead_letters', '{\"reason\": \"r\"}')", [id]
    )
    for _ in range(3):
        later(conn)
        assert prune(conn) == 0
    assert known(conn) == {id}
    conn.execute("delete from dead_message")
    for _ in range(2):
        later(conn)
        prune(conn)
    assert known(conn) == set()


def test_a_run_is_bounded_and_waits_for_no_lock(conn: BoundedConnection, db_url: str) -> None:
    ids = send(conn, 10)
    conn.execute("delete from message")
    later(conn)
    prune(conn)
    later(conn)
    with connect(db_url, name="other") as other, other.transaction():
        other.execute("select from inbox_message where id = %s::uuid for update", [ids[0]])
        assert prune(conn, limit=4) == 4
        assert prune(conn) == 5
        assert known(conn) == {ids[0]}
