"""The registration of kitchen workers, as the worker's session uses it."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.database.errors import DatabaseError
from pizza.kitchen.worker_storage import WorkerProfile, list_workers
from pizza.kitchen.workers import MAX_WORKERS, RestaurantWorkerRegistry
from pizza.taskqueue.errors import RegistrationRefused

from ...support.waiting import wait_until


def shift(name: str = "mario") -> RestaurantWorkerRegistry:
    return RestaurantWorkerRegistry(
        name, WorkerProfile("cook", "kitchen"), "Worker registered for all order types"
    )


def test_a_worker_registers_sends_heartbeats_and_unregisters(
    conn: BoundedConnection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mario = shift()

    mario.register(conn)
    mario.heartbeat(conn)
    assert [(each.name, each.type, each.status) for each in list_workers(conn)] == [
        ("mario", "cook", "online")
    ]
    mario.unregister(conn)

    assert caplog.messages == ["Worker registered for all order types", "Worker disconnected"]


def test_without_tables_it_names_the_remedy(postgres: Any) -> None:
    url = postgres.create_database("workers_without_tables")
    with (
        connect(url, name="test") as conn,
        pytest.raises(DatabaseError, match="no tables yet: run --setup-db"),
    ):
        shift().register(conn)


def test_a_name_in_use_is_refused_after_the_time_out(conn: BoundedConnection, db_url: str) -> None:
    shift().register(conn)

    with (
        connect(db_url, name="second") as second,
        pytest.raises(RegistrationRefused, match="named 'mario' is already at work"),
    ):
        shift().register(second)


def test_a_name_that_is_released_within_the_time_out_is_registered(
    conn: BoundedConnection, db_url: str
) -> None:
    """As after a kill -9: the session of the dead ends a moment after the new one has asked."""
    first = connect(db_url, name="first")
    shift().register(first)
    leaving = threading.Timer(0.3, first.close)
    leaving.start()

    shift().register(conn)

    leaving.join()
    assert list_workers(conn)[0].status == "online"


def test_the_eleventh_is_refused(conn: BoundedConnection, db_url: str) -> None:
    staff = [connect(db_url, name=f"{place}") for place in range(MAX_WORKERS)]
    for place, session in enumerate(staff):
        shift(f"chef {place}").register(session)

    with pytest.raises(RegistrationRefused, match="10 workers are already at work"):
        shift("one too many").register(conn)

    staff[0].close()
    shift("one too many").register(conn)
    for session in staff:
        session.close()


def test_a_heartbeat_reports_dead_workers(
    conn: BoundedConnection, db_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(db_url, name="luigi") as lost:
        shift("luigi").register(lost)
    shift("mario").register(conn)
    conn.execute("update workers set status = 'online'")

    def reported() -> bool:
        shift("mario").heartbeat(conn)
        return any(each.levelno == logging.WARNING for each in caplog.records)

    wait_until(reported, 5, "the session of luigi has ended")
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert record.getMessage() == "Worker luigi is gone"
