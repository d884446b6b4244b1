"""Processes that start before their servers, and several set-ups at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from devservices import Postgres

from ...support.restaurant import Program, Restaurant, eventually, stays
from ...support.restaurant.outages import down

TABLES = {"orders", "order_items", "order_status_log", "workers", "message", "schema_migration"}


@pytest.fixture
def empty_db(postgres: Postgres) -> Iterator[str]:
    name = f"empty_{uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


def set_up(restaurant: Restaurant, *flags: str) -> Program:
    return restaurant.start("setup", *flags)


def test_processes_that_come_before_their_servers_come_up_by_themselves(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    with down(restaurant.servers.rabbitmq), down(restaurant.servers.postgres):
        programs = [
            restaurant.begin(),
            *(restaurant.start_cook_soon(name) for name in ("mario", "luigi")),
        ]
        what = "each says what it misses"
        eventually(lambda: all(warnings(program) for program in programs), 15, what)
        stays(lambda: all(program.running for program in programs), 1, "all keep trying")

    restaurant.serves_again(20)
    numbers = [restaurant.place() for _ in range(4)]
    restaurant.ledger.wait_for("ready", numbers, 20)
    for program in programs:
        assert program.running
        assert len(warnings(program)) < 60, "a hot loop"
    restaurant.ledger.check_all_ready()


def test_cooks_that_come_before_the_tables_wait_for_them(
    new_restaurant: Callable[[], Restaurant], empty_db: str
) -> None:
    restaurant = new_restaurant()
    cooks = [
        restaurant.start_cook_soon("mario", db=empty_db),
        restaurant.start_cook_soon("luigi", db=empty_db, order_types="pizza"),
    ]
    for cook in cooks:
        what = "each says what to do"
        eventually(lambda cook=cook: "run --setup-db" in str(warnings(cook)), 15, what)

    assert set_up(restaurant, "--setup-db", f"--db={empty_db}").exit_code() == 0

    for cook in cooks:
        cook.wait_for("worker_connected", 20)
        cook.stop()  # before its database goes


def warnings(program: Program) -> list[str]:
    return [line["message"] for line in program.lines if line["level"] == "WARN"]


def test_the_database_may_be_set_up_twice_and_by_two_at_once(
    new_restaurant: Callable[[], Restaurant], empty_db: str
) -> None:
    restaurant = new_restaurant()
    both = [set_up(restaurant, "--setup-db", f"--db={empty_db}") for _ in range(2)]
    assert [program.exit_code() for program in both] == [0, 0]
    applied = ledger_of_migrations(empty_db)

    again = set_up(restaurant, "--setup-db", f"--db={empty_db}")
    migrated = set_up(restaurant, "--migrate-db", f"--db={empty_db}")
    assert (again.exit_code(), migrated.exit_code()) == (0, 0)

    assert ledger_of_migrations(empty_db) == applied
    assert again.lines[-1]["message"] == "Database schema is ready"
    with psycopg.connect(empty_db) as conn:
        tables = conn.execute("select tablename from pg_tables where schemaname = 'public'")
        assert {name for (name,) in tables} >= TABLES


def ledger_of_migrations(db_url: str) -> list[tuple[str, str, object]]:
    with psycopg.connect(db_url) as conn:
        return conn.execute("select * from schema_migration order by name").fetchall()


def test_the_queues_may_be_set_up_twice_and_by_two_at_once(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    programs = [set_up(restaurant, "--setup-queues") for _ in range(3)]

    assert [program.exit_code() for program in programs] == [0, 0, 0]
    assert programs[0].lines[-1]["message"] == "Exchanges and queues are ready"


def test_set_up_without_its_server_says_so_in_one_line_and_fails(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    nobody = "127.0.0.1:9"
    programs = [
        set_up(restaurant, "--setup-db", f"--db=postgres://pizza:secret@{nobody}/pizza"),
        set_up(restaurant, "--setup-queues", f"--rabbitmq={nobody}"),
    ]

    for program in programs:
        program.expected_code = 1
        assert program.exit_code() == 1
        (line,) = program.lines
        assert line["level"] == "ERROR"
        assert "secret" not in str(line)
