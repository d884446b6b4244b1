"""Two installations work in two schemas of one database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from devservices import Postgres
from pizza.database.errors import MigrationError
from pizza.database.migrate import migrate
from pizza.taskqueue.task import publish

from ..support.taskqueue.sample_subscriber import SCHEMA
from ..support.taskqueue.worker_process import Harness
from ..support.waiting import wait_until

TABLES = """
select table_schema from information_schema.tables
where table_name = 'message' and table_schema not in ('pg_catalog', 'information_schema')
order by 1
"""


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """A database with two empty schemas, `one` and `two`."""
    name = f"schemas_{uuid4().hex[:12]}"
    url = postgres.create_database(name)
    with psycopg.connect(url) as conn:
        conn.execute("create schema one; create schema two")
    yield url
    postgres.drop_database(name)


def run_processes(harness: Harness) -> None:
    """A relay, a worker and a subscriber, of the same names in each installation."""
    harness.relay("relay")
    harness.worker("w", no_relay=True)
    harness.subscriber("s")


def assert_working(harness: Harness) -> None:
    """Jobs and events of this installation have their effect, once."""
    before = list(harness.effects())
    ids = harness.send_many(20)
    received = [
        publish(harness.conn, harness.prefix, "event.x", {"mode": "ok", "n": n}) for n in range(9)
    ]
    harness.await_all_done()
    harness.assert_each_once(before + ids)
    query = "select count(*) from heard where event_id = any(%s)"
    known = [str(id) for id in received]
    wait_until(lambda: harness.rows(query, known) == [(9,)], 10, "the events are received")


@pytest.mark.parametrize("given_by", ["URL", "PGOPTIONS"])
def test_both_installations_work_and_one_may_be_removed(
    database: str, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_by: str
) -> None:
    first_url = make_conninfo(database, options="-csearch_path=one")
    if given_by == "URL":
        second_url = make_conninfo(database, options="-c search_path=two")
    else:
        second_url = database
        monkeypatch.setenv("PGOPTIONS", "-csearch_path=two")
    stages = []
    try:
        # When both are set up, each has its own tables
        for name, url in (("one", first_url), ("two", second_url)):
            assert migrate(url)
            assert migrate(url) == []
            (tmp_path / name).mkdir()
            stages.append(Harness(url, broker_url, tmp_path / name))
            stages[-1].conn.execute(SCHEMA)
        first, second = stages
        assert first.rows(TABLES) == [("one",), ("two",)]
        # Then both lead, and each does its own work
        for harness in stages:
            run_processes(harness)
        for harness in stages:
            assert_working(harness)
        # And when one goes, the other stays
        first.close()
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("drop schema one cascade")
        assert_working(second)
        assert second.rows(TABLES) == [("two",)]
        for process in second.processes:
            assert process.running and not process.tracebacks()
            assert not process.log("relay_lost") and not process.log("leader_terminated")
    finally:
        for harness in stages:
            harness.close()


def test_a_search_path_without_a_schema_is_a_plain_error(database: str) -> None:
    with pytest.raises(MigrationError, match=r"search_path \(nowhere\).*create schema"):
        migrate(make_conninfo(database, options="-csearch_path=nowhere"))
    with psycopg.connect(database) as conn:
        assert conn.execute(TABLES).fetchall() == []
