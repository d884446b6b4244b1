"""A connection to a fresh database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pizza.database.connection import BoundedConnection, connect


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="test") as open_connection:
        yield open_connection
