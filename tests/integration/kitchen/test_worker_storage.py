"""Registered workers, by the sessions that hold the locks of their names."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from pizza.database.connection import BoundedConnection, connect
from pizza.kitchen import worker_storage
from pizza.kitchen.worker_storage import WorkerProfile

from ...support.waiting import wait_until

COOK = WorkerProfile("cook", "kitchen")


def by_name(conn: BoundedConnection) -> dict[str, str]:
    return {worker.name: worker.status for worker in worker_storage.list_workers(conn)}


@contextmanager
def shift(db_url: str, name: str, limit: int = 10) -> Iterator[tuple[BoundedConnection, str]]:
    """A session that comes to work: its connection, and the verdict."""
    with connect(db_url, name=name) as conn:
        yield conn, worker_storage.register_worker(conn, name, COOK, limit)


def test_a_worker_is_online_as_long_as_its_session(conn: BoundedConnection, db_url: str) -> None:
    with shift(db_url, "mario") as (_, verdict):
        assert verdict == "registered"
        assert by_name(conn) == {"mario": "online"}

    # Its session ends a moment after its connection
    wait_until(lambda: by_name(conn) == {"mario": "offline"}, 5, "mario is offline")


def test_a_name_is_in_use_while_its_session_lives(db_url: str) -> None:
    with shift(db_url, "mario"), shift(db_url, "mario") as (_, verdict):
        assert verdict == "taken"

    def welcome() -> bool:
        with shift(db_url, "mario") as (_, verdict):
            return verdict == "registered"

    wait_until(welcome, 5, "the name is free, a moment after the session")


def test_a_worker_of_version_0_2_0_keeps_its_name(conn: BoundedConnection, db_url: str) -> None:
    conn.execute("insert into workers (name, type, status) values ('mario', 'cook', 'online')")
    with connect(db_url, name="version 0.2.0") as former:
        former.execute("select pg_advisory_lock(hashtextextended('worker mario', 0))")
        assert by_name(conn) == {"mario": "online"}
        assert worker_storage.expire_workers(conn) == []
        with shift(db_url, "mario") as (_, verdict):
            assert verdict == "taken"


def test_no_more_workers_than_the_limit_are_registered(db_url: str) -> None:
    with ExitStack() as shifts:
        verdicts = [shifts.enter_context(shift(db_url, f"cook {n}", 3))[1] for n in range(4)]

    assert verdicts == ["registered", "registered", "registered", "full"]


def test_of_many_workers_at_once_exactly_the_limit_is_registered(db_url: str) -> None:
    with ExitStack() as shifts:
        sessions = [shifts.enter_context(connect(db_url, name=f"{n}")) for n in range(16)]
        with ThreadPoolExecutor(16) as door:
            enter = lambda n: worker_storage.register_worker(sessions[n], f"cook {n}", COOK, 10)  # noqa: E731
            verdicts = list(door.map(enter, range(16)))

    assert sorted(verdicts) == ["full"] * 6 + ["registered"] * 10


def test_a_refused_worker_keeps_no_name(db_url: str) -> None:
    with shift(db_url, "mario", 1) as (conn, _):
        with shift(db_url, "luigi", 1) as (_, verdict), shift(db_url, "luigi", 2) as (_, later):
            assert (verdict, later) == ("full", "registered")
        assert by_name(conn)["mario"] == "online"


def test_a_worker_finds_itself_alive_and_marks_only_others(db_url: str) -> None:
    with shift(db_url, "mario") as (mine, _):
        assert worker_storage.expire_workers(mine) == []
        assert by_name(mine) == {"mario": "online"}


def test_a_heartbeat_updates_last_seen(conn: BoundedConnection, db_url: str) -> None:
    with shift(db_url, "mario") as (mine, _):
        (came,) = worker_storage.list_workers(conn)
        worker_storage.record_heartbeat(mine, "mario")
        (seen,) = worker_storage.list_workers(conn)

    assert seen.last_seen > came.last_seen


def test_the_dead_are_marked_and_named_once(conn: BoundedConnection, db_url: str) -> None:
    with shift(db_url, "mario"), shift(db_url, "luigi"):
        assert worker_storage.expire_workers(conn) == []
    rows = conn.execute("select status from workers").fetchall()
    assert rows == [("online",), ("online",)]  # without unregistering

    named: list[str] = []

    def both() -> bool:
        named.extend(worker_storage.expire_workers(conn))
        return len(named) >= 2

    wait_until(both, 5, "their sessions have ended, a moment after their connections")
    assert sorted(named) == ["luigi", "mario"]
    assert worker_storage.expire_workers(conn) == []


def test_who_leaves_in_good_order_is_offline_at_once(conn: BoundedConnection, db_url: str) -> None:
    with shift(db_url, "mario") as (mine, _):
        worker_storage.unregister_worker(mine, "mario")

        assert conn.execute("select status from workers").fetchall() == [("offline",)]


def test_a_worker_without_two_heartbeats_is_offline_until_the_next_one(
    conn: BoundedConnection, db_url: str
) -> None:
    with shift(db_url, "mario") as (mine, _):
        conn.execute("update workers set last_seen = now() - interval '70 seconds'")
        assert by_name(conn) == {"mario": "offline"}
        assert worker_storage.expire_workers(conn) == ["mario"]
        worker_storage.record_heartbeat(mine, "mario")
        assert by_name(conn) == {"mario": "online"}
        assert worker_storage.expire_workers(conn) == []
