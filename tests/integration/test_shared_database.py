"""The database that tests share is as good as new after each of them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from devservices import Postgres

from ..support.shared_database import SharedDatabase


@pytest.fixture
def shared(postgres: Postgres, _template: str) -> SharedDatabase:
    return SharedDatabase(postgres, _template)


def content(url: str) -> dict[str, Any]:
    """All rows of all tables, and the values of all sequences."""
    with psycopg.connect(url) as conn:
        tables = conn.execute("select tablename from pg_tables where schemaname = 'public'")
        found: dict[str, Any] = {
            name: sorted(map(str, conn.execute(f"select * from {name}".encode())))
            for (name,) in tables.fetchall()
        }
        sequences = conn.execute("select sequencename from pg_sequences").fetchall()
        for (name,) in sequences:
            query = f"select last_value, is_called from {name}"
            found[name] = conn.execute(query.encode()).fetchone()
    return found


def test_rows_sequences_tables_and_sessions_of_a_test_are_gone(
    shared: SharedDatabase, postgres: Postgres
) -> None:
    url = shared.acquire()
    new = content(url)
    left_open = psycopg.connect(url, autocommit=True)
    left_open.execute("create table mine (id serial)")
    left_open.execute("update kitchen_capacity set free = 0")
    left_open.execute("delete from menu")
    left_open.execute("select nextval('order_number')")

    shared.release()

    assert shared.acquire() == url
    assert content(url) == new
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("select 1")
    postgres.drop_database(url.rpartition("/")[2])


def test_a_database_with_another_schema_is_dropped(
    shared: SharedDatabase, postgres: Postgres
) -> None:
    url = shared.acquire()
    new = content(url)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("alter table orders add column mine int")

    shared.release()

    other = shared.acquire()
    assert other != url
    assert content(other) == new
    postgres.drop_database(other.rpartition("/")[2])
