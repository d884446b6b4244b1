"""A message is not lost while another session holds the lock of its row."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.database.queries import Queries

from ...support.waiting import wait_until

_F, _R, _K = Queries("taskqueue/messages"), Queries("taskqueue/relay"), Queries("taskqueue/keeper")
_LOCK = "select from message where id = %s for update"
_WAITS = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
_HOLDER = 7_000_000_001


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="worker") as conn:
        yield conn


@pytest.fixture
def psql(db_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(db_url) as conn:
        yield conn


def send(conn: BoundedConnection) -> tuple[UUID, int]:
    """The id and the position of a new message."""
    id = uuid4()
    values = {
        "id": id, "task": "t", "queue": "red", "exchange": "", "routing_key": "red",
        "priority": 0, "body": b"{}", "headers": None, "countdown": None, "needs": None,
    }  # fmt: skip
    conn.execute(_F.send, values)
    return id, position_of(conn, id)


def position_of(conn: BoundedConnection, id: UUID) -> int:
    return int(one(conn, "select position from message where id = %s", id))


def state_of(conn: BoundedConnection, id: UUID) -> str:
    return str(one(conn, "select state::text from message where id = %s", id))


def one(conn: BoundedConnection, query: str, *values: Any) -> Any:
    row = conn.execute(query, values).fetchone()
    assert row is not None
    return row[0]


def claim(conn: BoundedConnection, id: UUID, holder: int = _HOLDER) -> tuple[Any, ...]:
    values = {
        "job_id": id,
        "job_worker_id": holder,
        "job_queues": "{red}",
        "job_skip_priority_check": False,
        "job_reservation": None,
        "job_priority": 0,
    }
    row = conn.execute(_F.claim, values).fetchone()
    assert row is not None
    return tuple(row)


def to_publish(conn: BoundedConnection, unmarked: list[int]) -> list[UUID]:
    """The ids of what the publisher would read."""
    parameters = {"limit": 500, "bytes": 1000, "asleep": False, "unmarked": unmarked}
    return [row[1] for row in conn.execute(_R.fetch_pending, parameters) if row[1] is not None]


def test_a_worker_that_begins_its_own_claim_again_waits_for_the_row(
    conn: BoundedConnection, psql: psycopg.Connection[Any]
) -> None:
    # Given a claim whose worker has lost its connection, while the row is locked
    id, _ = send(conn)
    verdict, token, *_ = claim(conn, id)
    assert verdict == "claimed"
    psql.execute(_LOCK, (id,))
    with ThreadPoolExecutor() as threads:
        # When the worker claims it again
        again = threads.submit(claim, conn, id)
        pid = conn.info.backend_pid
        wait_until(lambda: psql.execute(_WAITS, (pid,)).fetchone() == (True,), 5, "it waits")
        psql.rollback()
        # Then it keeps it: while its worker lives, no other process would release it
        assert again.result(10)[:3] == ("claimed", token + 1, 1)


def test_a_delivery_that_was_dropped_before_its_confirm_was_recorded_comes_again(
    conn: BoundedConnection,
) -> None:
    # Given a published message whose row was locked: for its confirm, and for the worker
    id, position = send(conn)
    conn.execute(_F.redeliver, {"id": id})
    conn.execute("update redelivery set noted_at = noted_at - interval '1 minute'")
    # When the lock is gone, and the keeper is faster than the publisher
    assert conn.execute(_K.redeliver_noted, {"limit": 10}).fetchone() == (1, True)
    conn.execute(_R.mark_sent_unlocked, {"positions": [position]})
    # Then it is published again
    assert state_of(conn, id) == "pending"
    assert to_publish(conn, [position]) == [id]


def test_a_message_of_a_newer_format_whose_row_is_locked_gets_a_new_delivery(
    conn: BoundedConnection, psql: psycopg.Connection[Any]
) -> None:
    # Given a published message that a worker does not know, while its row is locked
    id, position = send(conn)
    conn.execute(_R.mark_sent, {"positions": [position]})
    psql.execute(_LOCK, (id,))
    # When the worker leaves it for another, and drops its delivery
    bounds = {"min_delay": timedelta(seconds=1), "max_delay": timedelta(seconds=9)}
    assert conn.execute(_F.defer, {"id": id, **bounds}).fetchone() == (None,)
    psql.rollback()
    conn.execute("update redelivery set noted_at = noted_at - interval '1 minute'")
    conn.execute(_K.redeliver_noted, {"limit": 10})
    # Then it is published again
    assert to_publish(conn, []) == [id]


@pytest.mark.parametrize("way", ["released", "rescued"])
def test_a_confirm_that_comes_after_the_claim_ended_does_not_pass_for_the_new_delivery(
    conn: BoundedConnection, db_url: str, way: str
) -> None:
    # Given a message that was claimed, and given up, before its confirm was recorded
    id, position = send(conn)
    _, token, *_ = claim(conn, id)
    if way == "released":
        conn.execute(_F.release, {"job_id": id, "job_token": token})
    else:
        conn.execute(
            "insert into worker_session (id, name, lease_renewed_at, lease_expires_at) "
            "values (%s, 'w', clock_timestamp(), clock_timestamp())",
            (_HOLDER,),
        )
        assert conn.execute(_K.rescue_orphaned, {"limit": 10}).fetchall()
    # When the confirm is recorded
    conn.execute(_R.mark_sent, {"positions": [position]})
    # Then the message is still to be published
    assert to_publish(conn, [position]) == [id]


def test_a_message_that_is_given_back_keeps_its_place(conn: BoundedConnection) -> None:
    id, position = send(conn)
    conn.execute(_R.mark_sent, {"positions": [position]})
    _, token, *_ = claim(conn, id)
    conn.execute(_F.release, {"job_id": id, "job_token": token})
    assert to_publish(conn, []) == [id]
    assert position_of(conn, id) == position
