"""Which limit of concurrent orders holds when an order service starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from pizza.config.settings import Settings
from pizza.database.connection import BoundedConnection, connect
from pizza.kitchen import control, storage
from pizza.processes.order_service import OrderServiceSession, apply_start_settings

from ...support.waiting import wait_until

Start = Callable[..., OrderServiceSession]
NAME = "order-service start"


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short time-outs and frequent checks."""
    monkeypatch.setattr("pizza.processes.order_service._ALONE_SECONDS", 0.2)
    monkeypatch.setattr("pizza.processes.order_service._LOOK_SECONDS", 0.1)


@pytest.fixture
def start(db_url: str) -> Iterator[Start]:
    """Starts the part of an order service that opens the restaurant, and waits until it has."""
    with ExitStack() as closing:

        def begin(limit: int | None = None) -> OrderServiceSession:
            settings = Settings(mode="order-service", db_url=db_url, max_concurrent=limit)
            service = OrderServiceSession(settings)
            closing.callback(service.stop, 5)
            service.start()
            assert service.tried.wait(20)
            return service

        yield begin


def limit(conn: BoundedConnection) -> int:
    return storage.get_state(conn).max_concurrent


def differences(caplog: pytest.LogCaptureFixture) -> list[tuple[object, object]]:
    """The limits that warnings named: that of the flag, and the one in use."""
    found = [r for r in caplog.records if getattr(r, "action", "") == "max_concurrent_differs"]
    assert all(record.levelname == "WARNING" for record in found)
    details = [record.details for record in found]  # type: ignore[attr-defined]
    return [(each["given"], each["holds"]) for each in details]


@pytest.mark.parametrize(("flag", "holds"), [(None, 50), (7, 7), (0, 0)])
def test_a_single_order_service_sets_the_limit_of_its_flag(
    conn: BoundedConnection, start: Start, flag: int | None, holds: int
) -> None:
    start(9).stop(5)
    start(flag)
    assert limit(conn) == holds


@pytest.mark.parametrize("flag", [1, 0, 80])
def test_a_second_one_with_another_flag_warns_and_changes_nothing(
    conn: BoundedConnection, start: Start, caplog: pytest.LogCaptureFixture, flag: int
) -> None:
    start(7)
    start(flag)
    assert limit(conn) == 7
    assert differences(caplog) == [(flag, 7)]


@pytest.mark.parametrize("flag", [None, 7])
def test_a_second_service_with_the_same_limit_logs_nothing(
    conn: BoundedConnection, start: Start, caplog: pytest.LogCaptureFixture, flag: int | None
) -> None:
    start(7)
    start(flag)
    assert limit(conn) == 7
    assert differences(caplog) == []


def test_a_limit_set_by_command_stays_when_a_service_starts(
    conn: BoundedConnection, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start(7).stop(5)
    control.set_max_concurrent(conn, 3, by="anna")
    start(7)
    start(None)
    conn.execute("select capacity_set(20)")  # as an order service of release 0.2 starts
    assert limit(conn) == 3
    assert differences(caplog) == [(7, 3)]


def test_an_order_service_that_has_just_ended_does_not_count(
    conn: BoundedConnection, db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the session of a killed process a moment after the process."""
    monkeypatch.setattr("pizza.processes.order_service._ALONE_SECONDS", 60)
    looked = "select from pg_stat_activity where pid = %s and query like '%%order service%%'"
    with connect(db_url, name="former") as former, connect(db_url, name="new") as new:
        apply_start_settings(former, Settings(max_concurrent=7))
        with ThreadPoolExecutor(1) as office:
            opened = office.submit(apply_start_settings, new, Settings(max_concurrent=9))
            pid = new.info.backend_pid
            wait_until(lambda: conn.execute(looked, [pid]).fetchone() is not None, 20, "it looked")
            assert limit(conn) == 7
            former.close()
            opened.result(30)
        assert limit(conn) == 9


def test_lost_sessions_let_no_order_service_decide_again(
    conn: BoundedConnection, start: Start
) -> None:
    start(7)
    start(9)
    sessions = "select pid from pg_stat_activity where application_name = %s"
    before = conn.execute(sessions, [NAME]).fetchall()
    assert len(before) == 2
    for (pid,) in before:
        conn.execute("select pg_terminate_backend(%s)", [pid])

    def back() -> bool:
        now = conn.execute(sessions, [NAME]).fetchall()
        return len(now) == 2 and not set(now) & set(before)

    wait_until(back, 20, "both hold a session again")
    assert limit(conn) == 7
    start(1)
    assert limit(conn) == 7
