"""Servers for all tests: a private PostgreSQL and a private RabbitMQ for each session of pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import amqp
import kombu
import pytest

from devservices import Postgres, RabbitMQ, Servers
from pizza.database.migrate import migrate

from .support.shared_database import SharedDatabase


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both servers, started at the same time, and stopped however the session ends."""
    folder: Path = tmp_path_factory.mktemp("servers")
    with Servers(folder) as running:
        yield running


@pytest.fixture(scope="session")
def postgres(servers: Servers) -> Postgres:
    """The private PostgreSQL; a test that stops it starts it again."""
    return servers.postgres


@pytest.fixture(scope="session")
def rabbitmq(servers: Servers) -> RabbitMQ:
    """The private RabbitMQ; a test that stops it starts it again."""
    return servers.rabbitmq


@pytest.fixture(scope="session")
def _template(postgres: Postgres) -> str:
    """A migrated database to copy, so that a new one needs no migration."""
    migrate(postgres.create_database("template_pizza"))
    return "template_pizza"


@pytest.fixture(scope="session")
def _shared_database(postgres: Postgres, _template: str) -> SharedDatabase:
    return SharedDatabase(postgres, _template)


@pytest.fixture
def db_url(_shared_database: SharedDatabase) -> Iterator[str]:
    """A migrated database without rows of other tests."""
    yield _shared_database.acquire()
    _shared_database.release()


@pytest.fixture
def reading_only(postgres: Postgres) -> Callable[[], AbstractContextManager[None]]:
    """During a block the server is read-only, as with a full disk."""

    @contextmanager
    def block() -> Iterator[None]:
        postgres.set_read_only(True)
        try:
            yield
        finally:
            postgres.set_read_only(False)

    return block


@pytest.fixture
def broker_url(rabbitmq: RabbitMQ) -> str:
    """The broker, with no message in any of the restaurant's or the framework's queues."""
    empty_broker(rabbitmq.url)
    return rabbitmq.url


def empty_broker(url: str) -> None:
    """Delete the queues with fixed names; processes that need them declare them again."""
    with kombu.Connection(url) as connection:
        for name in (
            "kitchen_queue",
            "kitchen_dine_in_queue",
            "kitchen_takeout_queue",
            "kitchen_delivery_queue",
            "notifications_queue",
            "tracking_status_queue",
            "webhooks_queue",
            "dead_letter_queue",
        ):
            channel = connection.channel()
            try:
                channel.queue_delete(name)
                channel.close()
            except amqp.NotFound:
                pass
