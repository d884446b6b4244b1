"""Named SQL: an unknown name fails and lists the known ones."""

from __future__ import annotations

import pytest

from pizza.database.errors import QueryNotFound
from pizza.database.queries import Queries, sql_root


def test_a_query_is_the_text_below_its_header() -> None:
    wanted = "select pg_try_advisory_lock(lock_key('leader publisher'))"
    assert Queries("taskqueue/relay").leader_acquire == wanted


def test_a_wrong_name_fails_with_those_that_exist() -> None:
    with pytest.raises(
        QueryNotFound, match=r"queries/relay.sql has no query 'leader'; it has .*leader_acquire"
    ):
        Queries("taskqueue/relay").leader  # noqa: B018


def test_a_file_that_is_not_there_fails_at_load() -> None:
    with pytest.raises(FileNotFoundError):
        Queries("taskqueue/no_such_file")


def test_no_file_holds_an_empty_query_or_a_name_twice() -> None:
    for folder in ("taskqueue", "restaurant"):
        for file in (sql_root() / folder / "queries").iterdir():
            titles = [
                line
                for line in file.read_text("utf-8").splitlines()
                if line.startswith("-- ") and line.endswith(" --")
            ]
            assert len(titles) == len(set(titles)), file.name
            queries = Queries(f"{folder}/{file.name.removesuffix('.sql')}")
            assert all(getattr(queries, title.strip("- ")) for title in titles)
