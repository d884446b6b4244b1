"""What a client hears of errors that are nobody's fault but the database's."""

from __future__ import annotations

import psycopg
import pytest

from pizza.web.errors import problem_for


@pytest.mark.parametrize("kind", [psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.DiskFull])
def test_a_database_that_takes_no_writes_is_a_503_to_try_again_after(
    kind: type[psycopg.Error],
) -> None:
    problem = problem_for(kind("cannot execute UPDATE in a read-only transaction"))
    assert problem.status == 503
    assert dict(problem.headers)["Retry-After"].isdecimal()
    assert "read-only" not in problem.detail
