"""Restaurants for acceptance tests: real processes on the session's real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from devservices import Servers
from pizza.processes.setup import setup_queues

from ..support.restaurant import Restaurant


@pytest.fixture(scope="session")
def _make_restaurant(
    servers: Servers, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Restaurant]:
    def make() -> Restaurant:
        name = f"restaurant_{uuid4().hex[:12]}"
        db_url = servers.postgres.create_database(name, template=_template)
        setup_queues(servers.rabbitmq.url)
        return Restaurant(servers, tmp_path_factory.mktemp("restaurant"), db_url)

    return make


@pytest.fixture(scope="module")
def _restaurant(_make_restaurant: Callable[[], Restaurant]) -> Iterator[Restaurant]:
    opened = _make_restaurant()
    opened.empty_queues()
    try:
        opened.open()
        yield opened
    finally:
        opened.close()


@pytest.fixture
def restaurant(_restaurant: Restaurant) -> Iterator[Restaurant]:
    """An open restaurant without a limit of orders and without cooks, one for each module.

    After each test every order must be ready, exactly once.
    """
    yield _restaurant
    _restaurant.reset()


@pytest.fixture
def new_restaurant(
    _make_restaurant: Callable[[], Restaurant],
) -> Iterator[Callable[[], Restaurant]]:
    """Makes restaurants for one test; no process runs yet. All are closed at the end."""
    with ExitStack() as closing:

        def make() -> Restaurant:
            made = _make_restaurant()
            closing.callback(made.close)
            made.empty_queues()
            return made

        yield make
