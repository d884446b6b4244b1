"""PgBouncer: session mode for everything, transaction mode for HTTP requests alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from devservices import PgBouncer, Postgres, Servers
from pizza.database import poolers
from pizza.database.connection import BoundedConnection, check_connection, connect, parameters
from pizza.database.errors import DatabaseUnavailable, DatabaseUnsupported
from pizza.database.pool import Pool
from pizza.database.poolers import TRANSACTION_MODE
from pizza.processes.setup import setup_db

from ..support.restaurant import Restaurant, meal
from .conftest import MakeDatabase, restaurant_on

ORDERS = 30
# What a lone client of the pooler cannot see: others that use it all the time.
_BUSY_CLIENTS = 6


@pytest.fixture(scope="module")
def session_pooler(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PgBouncer]:
    with PgBouncer(tmp_path_factory.mktemp("session"), postgres, "session") as running:
        yield running


@pytest.fixture(scope="module")
def transaction_pooler(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PgBouncer]:
    """With few backends, so that each client's statements meet several of them."""
    folder = tmp_path_factory.mktemp("transaction")
    with PgBouncer(folder, postgres, "transaction", default_pool_size=3) as running:
        yield running


@pytest.fixture
def database(new_database: MakeDatabase) -> str:
    """The name of a database with the schema, and with defaults that poolers hand on."""
    url = new_database({"DateStyle": "German, DMY", "TimeZone": "Asia/Kathmandu"})
    setup_db(url)
    return url.rpartition("/")[2]


@pytest.fixture(autouse=True)
def _no_known_poolers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poolers, "_keep_sessions", set())


def cook_all(restaurant: Restaurant, **options: str) -> None:
    """Thirty orders are placed, twelve at a time, and all are cooked."""
    restaurant.open(**options)
    cooks = restaurant.start_cooks(["mario", "luigi"])
    answers = restaurant.rush([meal() for _ in range(ORDERS)], clients=12)
    assert [answer.status for answer in answers] == [201] * ORDERS
    numbers = [answer.document["order_number"] for answer in answers]
    restaurant.ledger.wait_for("ready", numbers, 60)
    restaurant.ledger.check_all_ready()
    assert all(cook.running for cook in cooks)


def test_everything_works_through_session_mode(
    servers: Servers, session_pooler: PgBouncer, database: str, tmp_path: Path
) -> None:
    """Without ignore_startup_parameters."""
    address, direct = session_pooler.url_of(database), servers.postgres.url_of(database)
    with restaurant_on(servers, tmp_path, address, direct) as restaurant:
        assert restaurant.start("setup", "--setup-db").exit_code(60) == 0
        cook_all(restaurant)


def test_http_requests_work_through_transaction_mode(
    servers: Servers, transaction_pooler: PgBouncer, database: str, tmp_path: Path
) -> None:
    direct = servers.postgres.url_of(database)
    with restaurant_on(servers, tmp_path, direct) as restaurant:
        cook_all(restaurant, db_pool=transaction_pooler.url_of(database))
        with servers.postgres.connect() as admin:
            through = admin.execute(
                "select count(*) from pg_stat_activity where datname = %s"
                " and application_name = 'order-service'",
                [database],
            ).fetchone()
        assert through is not None and through[0] <= 3, "the requests do not use the pooler"


PROCESSES = {
    "cook": ["--mode=kitchen-worker", "--worker-name=mario"],
    "tracking": ["--mode=tracking-service"],
    "webhooks": ["--mode=webhook-worker"],
    "subscriber": ["--mode=notification-subscriber"],
    "setup": ["--setup-db"],
}


def test_processes_that_need_a_session_refuse_transaction_mode(
    servers: Servers, transaction_pooler: PgBouncer, database: str, tmp_path: Path
) -> None:
    with restaurant_on(
        servers, tmp_path, transaction_pooler.url_of(database), servers.postgres.url_of(database)
    ) as restaurant:
        programs = [restaurant.start(name, *flags) for name, flags in PROCESSES.items()]
        service = restaurant.begin()
        for program in programs:
            program.refused(f"{TRANSACTION_MODE}.")
        service.refused(f"{TRANSACTION_MODE}; HTTP requests may use this one (--db-pool).")


def test_processes_that_come_before_the_pooler_end_as_soon_as_its_mode_is_known(
    servers: Servers, database: str, tmp_path: Path
) -> None:
    pooler = PgBouncer(tmp_path / "late", servers.postgres, "transaction")
    direct = servers.postgres.url_of(database)
    with restaurant_on(servers, tmp_path, pooler.url_of(database), direct) as restaurant:
        cook = restaurant.start_cook_soon("mario", order_types="pizza")
        service = restaurant.begin()
        cook.wait_for("database_lost")
        service.wait_for("database_unavailable")
        with pooler:
            cook.refused(f"{TRANSACTION_MODE}.")
            service.refused(f"{TRANSACTION_MODE}; HTTP requests may use this one (--db-pool).")


def test_statement_mode_and_startup_parameters_are_refused_by_name(
    postgres: Postgres, session_pooler: PgBouncer, tmp_path: Path
) -> None:
    with PgBouncer(tmp_path, postgres, "statement") as pooler:
        for pooled in (False, True):
            with pytest.raises(DatabaseUnsupported, match="statement mode, which allows no trans"):
                check_connection(pooler.url_of("pizza"), name="test", pooled=pooled)
    with pytest.raises(DatabaseUnsupported, match="startup parameter options: take it out"):
        connect(f"{session_pooler.url_of('pizza')}?options=-cwork_mem%3D7MB", name="test")


def test_transaction_mode_shows_while_others_use_the_pooler(
    transaction_pooler: PgBouncer, session_pooler: PgBouncer
) -> None:
    end = threading.Event()

    def keep_busy(url: str) -> None:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as conn:
            while not end.is_set():
                conn.execute("select pg_sleep(0.001)")

    with ExitStack() as closing:
        closing.callback(end.set)
        for pooler in (transaction_pooler, session_pooler):
            threads = [
                threading.Thread(target=keep_busy, args=(pooler.url_of("pizza"),))
                for _ in range(_BUSY_CLIENTS)
            ]
            for thread in threads:
                thread.start()
                closing.callback(thread.join)
        closing.callback(end.set)
        for _ in range(20):
            with pytest.raises(DatabaseUnsupported, match="transaction mode"):
                connect(transaction_pooler.url_of("pizza"), name="test")
            poolers._keep_sessions.clear()
            connect(session_pooler.url_of("pizza"), name="test").close()


def test_a_pooler_without_a_free_backend_is_logged(postgres: Postgres, tmp_path: Path) -> None:
    """Processes wait there without a word otherwise."""
    with (
        PgBouncer(tmp_path, postgres, "session", default_pool_size=1) as pooler,
        pytest.raises(DatabaseUnavailable, match=r"no free backend .* raise its pool size"),
    ):
        connect(pooler.url_of("pizza"), name="test")


def test_a_default_that_transaction_mode_cannot_change_is_refused(
    transaction_pooler: PgBouncer, new_database: MakeDatabase
) -> None:
    url = new_database({"default_transaction_isolation": "serializable"})
    with pytest.raises(
        DatabaseUnsupported, match="default_transaction_isolation is 'serializable'"
    ):
        check_connection(
            transaction_pooler.url_of(url.rpartition("/")[2]), name="test", pooled=True
        )


def test_no_statement_is_prepared_in_transaction_mode(
    transaction_pooler: PgBouncer, database: str
) -> None:
    pool = Pool(transaction_pooler.url_of(database), size=2, name="test", pooled=True)
    try:
        for number in range(20):
            with pool.connection(timeout=5) as conn:
                assert conn.fetch_first("select %s::integer", [number]) == (number,)
                found = conn.execute("select count(*) from pg_prepared_statements").fetchone()
                assert found == (0,)
    finally:
        pool.close()


def test_without_a_pooler_no_second_connection_is_opened(
    db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poolers, "_share_backends", None)
    with BoundedConnection.connect(db_url, **parameters(db_url, "test")) as conn:
        poolers.require_session(conn, conn.info.backend_pid, db_url, lambda: conn)
