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
def _make(
    servers: Servers, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Restaurant]:
    def make() -> Restaurant:
        name = f"restaurant_{uuid4().hex[:12]}"
        db_url = servers.postgres.create_database(name, template=_template)
        setup_queues(servers.rabbitmq.url)
        return Restaurant(servers, tmp_path_factory.mktemp("restaurant"), db_url)

    return make


@pytest.fixture(scope="module")
def _house(_make: Callable[[], Restaurant]) -> Iterator[Restaurant]:
    house = _make()
    house.empty_queues()
    try:
        house.open()
        yield house
    finally:
        house.close()


@pytest.fixture
def restaurant(_house: Restaurant) -> Iterator[Restaurant]:
    """An open restaurant without a cap and without cooks, one for all tests of a module.

    At the end of each test every order has to be ready, exactly once.
    """
    yield _house
    _house.reset()


@pytest.fixture
def new_restaurant(_make: Callable[[], Restaurant]) -> Iterator[Callable[[], Restaurant]]:
    """Makes restaurants of the test's own, in which nothing runs yet; all are closed at the end."""
    with ExitStack() as closing:

        def make() -> Restaurant:
            house = _make()
            closing.callback(house.close)
            house.empty_queues()
            return house

        yield make
