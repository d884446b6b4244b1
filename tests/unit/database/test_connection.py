"""An absent server is distinguished from a wrong statement."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from pizza.database.connection import is_unavailable, translate_errors
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.database.migrate import scripts


@pytest.mark.parametrize("error", [
    DatabaseUnavailable("x"), psycopg.OperationalError("server closed the connection"),
    psycopg.InterfaceError("the connection is closed"), errors.AdminShutdown(),
    errors.CrashShutdown(), errors.CannotConnectNow(), errors.TooManyConnections(),
    errors.ConnectionFailure(),
])  # fmt: skip
def test_the_server_is_away(error: Exception) -> None:
    assert is_unavailable(error)
    with pytest.raises(DatabaseUnavailable) as caught, translate_errors():
        raise error
    assert not isinstance(caught.value, DatabaseTransientError)


@pytest.mark.parametrize("error", [
    errors.DiskFull(), errors.OutOfMemory(), errors.InsufficientResources(),
    errors.ConfigurationLimitExceeded(), errors.ReadOnlySqlTransaction(),
    errors.SerializationFailure(), errors.DeadlockDetected(), errors.LockNotAvailable(),
    errors.QueryCanceled(),
])  # fmt: skip
def test_the_server_is_there_but_refuses(error: Exception) -> None:
    assert is_unavailable(error)
    with pytest.raises(DatabaseTransientError), translate_errors():
        raise error


@pytest.mark.parametrize("error", [
    errors.UniqueViolation(), errors.UndefinedTable(), psycopg.ProgrammingError(),
    OSError("a file"), ValueError(),
])  # fmt: skip
def test_the_statement_was_wrong(error: Exception) -> None:
    assert not is_unavailable(error)
    with pytest.raises(type(error)), translate_errors():
        raise error


def test_the_reason_is_one_short_line() -> None:
    with pytest.raises(DatabaseUnavailable) as caught, translate_errors():
        raise psycopg.OperationalError("connection refused\n\tIs the server running?\n" + "x" * 500)
    said = str(caught.value)
    assert said.startswith("PostgreSQL is not available: connection refused; xxx")
    assert "\n" not in said and len(said) < 260


def test_migrations_are_numbered_without_gaps_and_functions_come_last() -> None:
    numbered = [script for script in scripts() if not script.repeatable]
    assert [int(script.name[:4]) for script in numbered] == list(range(1, len(numbered) + 1))
    assert [script.repeatable for script in scripts()] == sorted(
        script.repeatable for script in scripts()
    )
    assert len({script.checksum for script in scripts()}) == len(scripts())
