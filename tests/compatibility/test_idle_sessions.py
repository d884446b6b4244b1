"""Sessions that end while they are idle: by the server, a pooler, or a firewall."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from devservices import Postgres, Proxy, Servers
from pizza.database.connection import connect
from pizza.database.pool import Pool

from ..support.restaurant import Restaurant, meal
from ..support.waiting import wait_until
from .conftest import MakeDatabase, restaurant_on

SIZE = 3
_END_ALL = """
select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'idle pool'
"""
_OF_SERVICE = """
select pid from pg_stat_activity
where application_name = 'order-service' and datname = current_database()
"""
_STILL_THERE = "select pid from pg_stat_activity where pid = any(%s)"
_OF_POOL = "select count(*) from pg_stat_activity where application_name = 'idle pool'"


@pytest.fixture
def pool(db_url: str) -> Iterator[Pool]:
    with closing(Pool(db_url, size=SIZE, name="idle pool")) as opened:
        yield opened


def ask(pool: Pool) -> tuple[int]:
    with pool.connection(timeout=5) as conn:
        found: tuple[int] = conn.execute("select 1").fetchone()
        return found


def test_no_request_notices_that_all_idle_sessions_have_ended(
    pool: Pool, postgres: Postgres
) -> None:
    with postgres.connect() as admin:
        of_pool = lambda: admin.execute(_OF_POOL).fetchone()  # noqa: E731
        wait_until(lambda: of_pool() == (SIZE,), 5, "the pool is full")
        assert admin.execute(_END_ALL).fetchone() == (SIZE,)
        wait_until(lambda: of_pool() == (0,), 5, "all its sessions have ended")
        assert [ask(pool) for _ in range(2 * SIZE)] == [(1,)] * (2 * SIZE)
        wait_until(lambda: of_pool() == (SIZE,), 5, "the pool is full again")


def test_a_notice_of_the_server_ends_no_session(pool: Pool, postgres: Postgres) -> None:
    """The server may announce a change of its configuration to idle sessions, too."""
    with connect(postgres.url, name="test") as conn:
        conn.execute("listen news")
        with postgres.connect() as admin:
            admin.execute("notify news")
        wait_until(lambda: next(iter(conn.notifies(timeout=0.1)), None), 5, "it is notified")
        with postgres.connect() as admin:
            admin.execute("notify news")
        assert conn.is_open()
        assert conn.execute("select 1").fetchone() == (1,)


@pytest.fixture
def lingering_end(postgres: Postgres) -> Iterator[str]:
    """The address of a forwarder to the server; an end of the server's side does not reach us."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        threads = []

        def forward(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)

        def accept() -> None:
            ours = sockets.enter_context(listener.accept()[0])
            host, _, port = postgres.address.partition(":")
            theirs = sockets.enter_context(socket.create_connection((host, int(port))))
            for pair in ((ours, theirs), (theirs, ours)):
                threads.append(threading.Thread(target=forward, args=pair, daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield postgres.url.replace(postgres.address, f"127.0.0.1:{listener.getsockname()[1]}")


def test_a_session_has_ended_when_its_server_says_so(
    lingering_end: str, postgres: Postgres
) -> None:
    with closing(connect(lingering_end, name="lingering")) as conn:
        assert conn.is_open()
        with postgres.connect() as admin:
            admin.execute("select pg_terminate_backend(%s)", [conn.info.backend_pid])
        wait_until(lambda: not conn.is_open(), 5, "the end is detected")
        assert not conn.closed


@pytest.fixture
def database_proxy(postgres: Postgres) -> Iterator[Proxy]:
    with closing(Proxy(postgres.address)) as proxy:
        yield proxy


@pytest.fixture
def restaurant(
    servers: Servers,
    database_proxy: Proxy,
    new_database: MakeDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Restaurant]:
    direct = new_database()
    address = direct.replace(servers.postgres.address, database_proxy.address)
    with restaurant_on(servers, tmp_path_factory.mktemp("idle"), address, direct) as made:
        assert made.start("setup", "--setup-db").exit_code(60) == 0
        yield made


def test_no_order_notices_that_a_firewall_has_cut_the_idle_connections(
    restaurant: Restaurant, database_proxy: Proxy
) -> None:
    restaurant.open()
    for _ in range(3):
        idle = [row["pid"] for row in restaurant.ledger.rows(_OF_SERVICE)]
        assert idle
        database_proxy.reset()
        gone = lambda old=idle: not restaurant.ledger.rows(_STILL_THERE, old)  # noqa: E731
        wait_until(gone, 5, "the sessions have ended")
        answers = [restaurant.client.order(meal()) for _ in range(8)]
        assert [answer.status for answer in answers] == [201] * 8
        wait_until(restaurant.client.answers, 10, "all of the service is connected again")
