"""The oldest PostgreSQL that is supported, Debian 12's, and the newest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devservices import Postgres, Servers
from devservices.install.postgres import find_or_fetch_postgres
from pizza.database import migrate as migration
from pizza.database.connection import connect
from pizza.database.errors import DatabaseUnsupported
from pizza.database.migrate import migrate, scripts
from pizza.database.session_settings import session_settings

from .conftest import restaurant_on

VERSIONS = (13, 15, 18)
LONG = 60.0  # seconds of cooking: more than it takes to kill the cook


@pytest.fixture(scope="module", params=VERSIONS, ids="PostgreSQL {}".format)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Postgres]:
    binaries = find_or_fetch_postgres(request.param)
    running = Postgres(tmp_path_factory.mktemp(f"postgres_{request.param}"), binaries=binaries)
    try:
        running.start()
        with running.connect() as conn:
            assert conn.info.server_version // 10_000 == request.param
        yield running
    finally:
        running.stop()


def test_an_order_is_cooked_and_survives_its_cook(
    server: Postgres, servers: Servers, tmp_path: Path
) -> None:
    with restaurant_on(servers, tmp_path, server.url) as restaurant:
        for _ in range(2):
            setup = restaurant.start("setup", "--setup-db")
            assert setup.exit_code(60) == 0, setup.lines
        restaurant.open()
        mario = restaurant.start_cook("mario", cooking_time=LONG)
        number = restaurant.place()
        restaurant.ledger.wait_for("cooking", [number], 20)
        mario.kill()
        restaurant.start_cook("luigi")
        restaurant.ledger.wait_for("ready", [number], 30)
        second = restaurant.place("dine-in")
        restaurant.ledger.wait_for("ready", [second], 20)
        restaurant.ledger.check_all_ready()
        assert [row.changed_by for row in restaurant.ledger.cookings()] == [
            "mario",
            "luigi",
            "luigi",
        ]


def test_a_database_of_the_last_release_is_brought_up_to_date(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.create_database("upgrade")
    old = [each for each in scripts() if each.name < "0017"]
    with monkeypatch.context() as before:
        before.setattr(migration, "scripts", lambda: old)
        assert migrate(url) == [each.name for each in old]
    assert migrate(url) == [each.name for each in scripts() if each not in old]
    assert migrate(url) == []


def test_every_setting_of_a_session_is_known_to_the_server(server: Postgres) -> None:
    with connect(server.url, name="test") as conn:
        for name, value in session_settings(conn.info.server_version).items():
            shown = conn.execute("select current_setting(%s)", [name]).fetchone()
            assert shown == (value,), name


def test_an_older_server_is_refused(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 120022)
    with pytest.raises(DatabaseUnsupported, match=r"PostgreSQL 12 is not supported.* 13 or newer"):
        connect(postgres.url, name="test")
