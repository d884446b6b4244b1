"""Migrations: twice, by several at the same time, and with files that changed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest

from devservices import Postgres
from pizza.database import migrate as module
from pizza.database.errors import DatabaseUnavailable, MigrationError
from pizza.database.migrate import Script, migrate, scripts

from ...support.waiting import wait_until


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


def ledger(url: str) -> dict[str, str]:
    with psycopg.connect(url) as conn:
        return dict(conn.execute("select name, checksum from schema_migration").fetchall())


def pretend(monkeypatch: pytest.MonkeyPatch, *more: Script, changed: str | None = None) -> None:
    """Add these files to the real ones; `changed` has one more line than before."""
    found = [
        replace(each, text=each.text + "\n-- changed") if each.name == changed else each
        for each in scripts()
    ]
    monkeypatch.setattr(module, "scripts", lambda: [*found, *more])


def test_the_second_time_there_is_nothing_to_do(empty_url: str) -> None:
    assert migrate(empty_url) == [script.name for script in scripts()]
    assert migrate(empty_url) == []
    assert ledger(empty_url) == {script.name: script.checksum for script in scripts()}


def test_of_many_migrations_at_once_one_does_the_work(empty_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(migrate, [empty_url] * 6))
    assert sorted(map(len, done)) == [0] * 5 + [len(scripts())]


def test_a_migration_that_changed_after_it_ran_is_refused(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_url)
    before = ledger(empty_url)
    first = scripts()[0].name
    pretend(monkeypatch, changed=first)
    with pytest.raises(MigrationError, match=f"{first} was changed after it ran"):
        migrate(empty_url)
    assert ledger(empty_url) == before


def test_a_function_that_changed_runs_again(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_url)
    pretend(monkeypatch, changed="functions/messages.sql")
    assert migrate(empty_url) == ["functions/messages.sql"]
    assert migrate(empty_url) == []


def test_a_program_of_the_last_release_can_call_replaced_functions(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More parameters, another text, more columns: it prepares its statement once, and names
    the columns."""
    shapes = [
        ("n integer, out twice integer", "twice := n * 2;"),
        ("n integer, more integer default 1, out twice integer", "twice := n * 2 + more;"),
        ("n integer, out twice integer, out half integer", "twice := n * 2; half := n / 2;"),
        ("m integer, out twice integer, out half integer", "twice := m * 2; half := m / 2;"),
    ]
    answers = []
    with psycopg.connect(empty_url, autocommit=True, prepare_threshold=0) as old:
        for parameters, text in shapes:
            begin = "create or replace function double"
            body = f"{begin}({parameters}) language plpgsql as $$ begin {text} end $$;"
            with monkeypatch.context() as patch:
                pretend(patch, Script("functions/zz.sql", body, repeatable=True))
                assert "functions/zz.sql" in migrate(empty_url)
            rows = [old.execute("select twice from double(%s)", [4]).fetchone() for _ in range(2)]
            answers += [row[0] for row in rows]
        (shapes_left,) = old.execute("select count(*) from pg_proc where proname = 'double'")
    assert answers == [8, 8, 9, 9, 8, 8, 8, 8]
    assert shapes_left == (1,)


def test_two_functions_of_one_name_both_stay(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_url)
    with psycopg.connect(empty_url, autocommit=True) as conn:
        for newer in (None, "p text", "p integer"):
            body = "".join(
                f"create or replace function f({parameter}) returns integer"
                f" language sql as $$ select {len(newer or '')} $$;\n"
                for parameter in ("n bigint", newer)
                if parameter
            )
            with monkeypatch.context() as patch:
                pretend(patch, Script("functions/zz.sql", body, repeatable=True))
                migrate(empty_url)
            query = "select proargtypes[0]::regtype::text from pg_proc where proname = 'f'"
            types = {type for (type,) in conn.execute(query)}
            assert types == {"bigint"} | ({newer.removeprefix("p ")} if newer else set())


def test_functions_are_changed_in_their_place(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a call that is under way does not find its function gone."""
    migrate(empty_url)
    pretend(monkeypatch, changed="functions/messages.sql")
    query = "select oid from pg_proc where proname like 'message_%' order by oid"
    with psycopg.connect(empty_url, autocommit=True) as conn:
        before = conn.execute(query).fetchall()
        migrate(empty_url)
        assert conn.execute(query).fetchall() == before


def test_a_transaction_that_a_migration_waits_for_can_go_on(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_url)
    text = "alter table kitchen_state add column x int; alter table orders add column x int;"
    pretend(monkeypatch, Script("9999_add_columns.sql", text, repeatable=False))
    with psycopg.connect(empty_url) as conn, ThreadPoolExecutor(1) as pool:
        conn.execute("select from orders")
        migration = pool.submit(migrate, empty_url)
        waits = "select from pg_locks where relation = 'orders'::regclass and not granted"
        wait_until(lambda: conn.execute(waits).fetchone() is not None, 5, "the migration waits")
        conn.execute("update kitchen_state set paused = true")
        conn.commit()
        assert migration.result(10) == ["9999_add_columns.sql"]


def test_a_failed_migration_leaves_nothing_of_itself(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "create table half (x int); insert into nowhere values (1);"
    pretend(monkeypatch, Script("9999_bad.sql", text, repeatable=False))
    with pytest.raises(MigrationError, match=r"9999_bad.sql failed: .*nowhere"):
        migrate(empty_url)
    with psycopg.connect(empty_url) as conn:
        tables = conn.execute("select count(*) from pg_tables where schemaname = 'public'")
        assert tables.fetchone() == (0,)


def test_a_database_newer_than_the_program_is_left_alone(empty_url: str) -> None:
    migrate(empty_url)
    with psycopg.connect(empty_url) as conn:
        conn.execute("insert into schema_migration values ('9000_future.sql', 'x')")
    with pytest.raises(MigrationError, match=r"9000_future.sql, which this version does not know"):
        migrate(empty_url)


def test_without_a_server_it_fails_soon() -> None:
    with pytest.raises(DatabaseUnavailable, match="not available"):
        migrate("postgresql://nobody@127.0.0.1:1/nothing")
