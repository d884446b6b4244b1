"""The copy of keys and sessions: when it is read again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from pizza.auth import storage
from pizza.auth.auth_cache import AuthCache
from pizza.auth.storage import ActiveKey, AuthState
from pizza.database.errors import DatabaseUnavailable


class Database:
    """Stands in for the database. during_read: called while the state is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.during_read: Callable[[], None] = lambda: None
        self.available = True

    def connection(self) -> AbstractContextManager[Any]:
        if not self.available:
            raise DatabaseUnavailable("gone")
        return nullcontext()

    def read(self, conn: object) -> AuthState:
        at = time.monotonic()
        self.reads += 1
        self.during_read()
        key = ActiveKey("1", f"read {self.reads}", "staff", b"", None)
        return AuthState(b"secret", True, (key,), {}, at)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    found = Database()
    monkeypatch.setattr(storage, "load_auth_state", found.read)
    return found


def test_a_fresh_copy_is_not_read_again(database: Database) -> None:
    cache = AuthCache(database.connection, (), None)

    assert cache.load() is cache.load() is cache.loaded()
    assert database.reads == 1


def test_an_invalidated_copy_is_read_again(database: Database) -> None:
    cache = AuthCache(database.connection, (), None)
    cache.load()

    cache.invalidate()

    assert cache.load().keys[0].name == "read 2"
    assert cache.load().keys[0].name == "read 2"


def test_a_read_that_began_before_the_invalidation_does_not_count(database: Database) -> None:
    cache = AuthCache(database.connection, (), None)
    database.during_read = cache.invalidate

    cache.load()

    database.during_read = lambda: None
    assert cache.load().keys[0].name == "read 2"


def test_an_invalidated_copy_is_not_used_while_another_thread_reads(database: Database) -> None:
    cache = AuthCache(database.connection, (), None)
    cache.load()
    names: list[str] = []

    def read_inside() -> None:
        database.during_read = lambda: None
        cache.invalidate()
        names.append(cache.load().keys[0].name)

    database.during_read = read_inside
    cache.load(0.0)

    assert names == ["read 3"]


def test_without_a_database_the_old_copy_stays_in_use(database: Database) -> None:
    cache = AuthCache(database.connection, (), None)
    with pytest.raises(DatabaseUnavailable):
        database.available = False
        cache.load()

    database.available = True
    cache.load()
    database.available = False
    cache.invalidate()

    assert cache.load().keys[0].name == "read 1"
