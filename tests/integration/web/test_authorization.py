"""Authentication costs an order no statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pizza.auth import auth_cache, keys
from pizza.config.settings import Settings
from pizza.database.connection import BoundedConnection, connect
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies

MEAL = {"customer_name": "Jo", "items": [{"name": "Lemonade", "quantity": 1, "price": 3.9}]}
FAR = {"REMOTE_ADDR": "203.0.113.7"}


class Counting:
    """Lends one connection, and counts the statements that are sent on it."""

    def __init__(self, conn: BoundedConnection, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._conn = conn
        wait = conn.wait

        def counted(*args: object, **kwargs: object) -> object:
            self.count += 1
            return wait(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(conn, "wait", counted)

    @contextmanager
    def connection(self, timeout: float = 1.0) -> Iterator[BoundedConnection]:
        yield self._conn


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("environ", [{}, FAR], ids=["near", "far"])
def test_an_order_is_one_statement(
    db_url: str, monkeypatch: pytest.MonkeyPatch, closed: bool, environ: dict[str, str]
) -> None:
    with connect(db_url, name="test") as conn:
        if closed:
            keys.add_key(conn, "Anna")
        pool = Counting(conn, monkeypatch)
        client = create_app(Settings(), Dependencies(pool)).test_client()
        post = lambda: client.post("/orders", json=MEAL, environ_base=environ)  # noqa: E731
        assert post().status_code == 201  # this one learns the secret and the menu
        monkeypatch.setattr("pizza.menu.cache._FRESH_SECONDS", 1e9)
        # Of the keys a process asks once a second, however many orders come.
        monkeypatch.setattr(auth_cache, "_MAX_AGE_S", 1e9)

        before = pool.count
        assert [post().status_code for _ in range(5)] == [201] * 5

        assert pool.count - before == 5
