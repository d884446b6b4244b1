"""Two installations in two schemas of one database: neither waits for the other's locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from devservices import Postgres
from pizza.database import migrate as migration
from pizza.database.connection import BoundedConnection, connect
from pizza.database.migrate import migrate
from pizza.domain.order import ClientQuota, IdempotencyKey
from pizza.kitchen import worker_storage
from pizza.kitchen.worker_storage import WorkerProfile
from pizza.webhooks import storage as webhooks

from ..conftest import Place

# Long for any of these statements, and shorter than what a lock held by the other would take.
TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def urls(postgres: Postgres) -> Iterator[tuple[str, str]]:
    """Two installations: each role has its schema as its search path."""
    name = f"shared_{uuid4().hex[:12]}"
    url = postgres.create_database(name)
    roles = [f"role_{uuid4().hex[:12]}" for _ in range(2)]
    with psycopg.connect(url, autocommit=True) as conn:
        for role in roles:
            for statement in (
                "create role {0} login password 'secret'",
                "create schema {0} authorization {0}",
                "alter role {0} set search_path = {0}",
            ):
                conn.execute(SQL(statement).format(Identifier(role)))
    one, two = (make_conninfo(url, user=role, password="secret") for role in roles)
    migrate(one)
    migrate(two)
    yield one, two
    postgres.drop_database(name)
    with postgres.connect("postgres") as conn:
        for role in roles:
            conn.execute(SQL("drop role {}").format(Identifier(role)))


@pytest.fixture
def connections(urls: tuple[str, str]) -> Iterator[tuple[BoundedConnection, BoundedConnection]]:
    """A connection to each; one that waits for the other fails."""
    with ExitStack() as closing:
        one, two = (closing.enter_context(connect(url, name="test")) for url in urls)
        for conn in (one, two):
            conn.statement_timeout = TIMEOUT_S
        yield one, two


Both = tuple[BoundedConnection, BoundedConnection]


def test_they_are_two(connections: Both) -> None:
    one, two = (conn.execute("select 'message'::regclass::oid").fetchone() for conn in connections)
    assert one != two


def test_each_schema_may_have_a_worker_of_one_name(connections: Both) -> None:
    for conn in connections:
        assert (
            worker_storage.register_worker(conn, "mario", WorkerProfile("cook", "kitchen"), 10)
            == "registered"
        )
    for conn in connections:
        assert [(each.name, each.status) for each in worker_storage.list_workers(conn)] == [
            ("mario", "online")
        ]


def test_a_worker_that_registers_in_one_does_not_hold_up_the_other(connections: Both) -> None:
    one, two = connections
    cook = WorkerProfile("cook", "kitchen")
    with one.transaction():
        assert worker_storage.register_worker(one, "luigi", cook, 10) == "registered"
        assert worker_storage.register_worker(two, "peach", cook, 10) == "registered"


def test_the_first_order_of_a_day_does_not_hold_up_the_other(
    connections: Both, place: Place
) -> None:
    one, two = connections
    for conn in connections:
        conn.execute("delete from order_day")
    with one.transaction():
        assert place(one)[0] == "placed"
        assert place(two)[0] == "placed"


def test_each_schema_has_its_own_idempotency_keys(connections: Both, place: Place) -> None:
    one, two = connections
    key = IdempotencyKey("the same", b"digest")
    with one.transaction():
        assert place(one, key=key)[0] == "placed"
        assert place(two, key=key)[0] == "placed"


def test_each_schema_counts_the_orders_of_a_client(connections: Both, place: Place) -> None:
    one, two = connections
    client = ClientQuota(b"the same address", 1)
    with one.transaction():
        assert place(one, client=client)[0] == "placed"
        assert place(two, client=client)[0] == "placed"


def test_webhooks_of_one_number_are_two(connections: Both) -> None:
    for conn in connections:
        webhook = webhooks.insert_webhook(
            conn,
            url="https://example.com",
            description=None,
            types=None,
            secret=b"secret",
            key=None,
        )
        delivery = uuid4()
        webhooks.insert_delivery(
            conn, id=delivery, webhook=webhook, event_id=uuid4(), type="order.ready", number=None,
            payload="{}",
        )  # fmt: skip
        due = webhooks.lock_delivery(conn, delivery, delivery)
        assert due is not None
        assert (due.id, due.lock_acquired) == (1, True)


def test_the_setup_of_one_does_not_hold_up_the_other(
    urls: tuple[str, str], connections: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "_LOCK_TIMEOUT_S", TIMEOUT_S)
    with connections[0].transaction():
        connections[0].execute(migration._LOCK)
        assert migrate(urls[1]) == []
