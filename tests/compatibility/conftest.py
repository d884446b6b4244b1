"""Restaurants on databases with other settings than those of the test servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal

from devservices import Postgres, Servers
from pizza.processes.setup import setup_queues

from ..support.restaurant import OrderLedger, Restaurant

# The books are read by other sessions than the product's, and need settings, too.
_READABLE = "-c datestyle=ISO,MDY -c timezone=UTC -c intervalstyle=postgres"

MakeDatabase = Callable[..., str]


@pytest.fixture(scope="module")
def new_database(postgres: Postgres) -> Iterator[MakeDatabase]:
    """Makes empty databases with the given settings; returns the URL. All are dropped."""
    names: list[str] = []

    def make(settings: dict[str, str] | None = None, options: str = "") -> str:
        name = f"other_{uuid4().hex[:12]}"
        with postgres.connect("postgres") as admin:
            admin.execute(f"create database {name} template template0 {options}".encode())
            names.append(name)
            for setting, value in (settings or {}).items():
                change = SQL("alter database {} set {} = {}")
                value_of = SQL(value) if setting == "search_path" else Literal(value)
                admin.execute(
                    change.format(
                        Identifier(name),
                        SQL(".").join(map(Identifier, setting.split("."))),
                        value_of,
                    )
                )
        return postgres.url_of(name)

    yield make
    for name in names:
        postgres.drop_database(name)


@contextmanager
def restaurant_on(
    servers: Servers, folder: Path, db_url: str, direct: str = ""
) -> Iterator[Restaurant]:
    """A restaurant on any address. direct: of the same database, where that is a pooler's."""
    restaurant = Restaurant(servers, folder, db_url)
    restaurant.ledger = OrderLedger(make_conninfo(direct or db_url, options=_READABLE))
    try:
        setup_queues(servers.rabbitmq.url)
        restaurant.empty_queues()
        yield restaurant
    finally:
        restaurant.close()
