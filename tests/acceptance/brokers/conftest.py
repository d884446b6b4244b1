"""The RabbitMQ of Debian 12 and the one of Debian 13, each with a restaurant on it.

The restaurants use a virtual host whose queues would be quorum queues by default. What RabbitMQ 4
calls deprecated is forbidden there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from devservices import ProcessFailed, RabbitMQ, Servers, free_port
from devservices.install import rabbitmq as rabbitmq_install
from pizza.processes.setup import setup_queues

from ...support.restaurant import Restaurant

NAME = "rabbit.example"
VHOST = "quorum by default"
DEPRECATED = ("global_qos", "transient_nonexcl_queues", "queue_master_locator", "ram_node_type")
CONSUMER_TIMEOUT_S = 2
TIMEOUT = f"consumer_timeout = {CONSUMER_TIMEOUT_S * 1000}"
LOOK_AT_TIMEOUTS = "application:set_env(rabbit, channel_tick_interval, 500)."


class VirtualHost:
    """One virtual host of a broker, where a test wants a broker."""

    def __init__(self, rabbitmq: RabbitMQ, name: str) -> None:
        self.rabbitmq = rabbitmq
        self.address = self.url = f"{rabbitmq.url[:-1]}{name.replace(' ', '%20')}"


class Site:
    """The session's PostgreSQL and another broker, where a test wants both servers."""

    def __init__(self, servers: Servers, rabbitmq: VirtualHost) -> None:
        self.postgres, self.rabbitmq = servers.postgres, rabbitmq


@pytest.fixture(scope="session", params=["3.10", "4.0"])
def version(request: pytest.FixtureRequest) -> str:
    """The version of RabbitMQ."""
    return str(request.param)


@dataclass(frozen=True)
class Tls:
    """The TLS listener of RabbitMQ 4.

    ca: the file of its authority. Its certificate is for `NAME` and 127.0.0.1, not for localhost.
    """

    port: int
    ca: Path
    name: str = NAME


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority, a certificate that it has signed, a port to listen on."""
    folder = tmp_path_factory.mktemp("tls")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"]
    names = f"subjectAltName=DNS:{NAME},IP:127.0.0.1"
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", names]
    for who, more in {
        "ca": ["-subj", "/CN=Test CA"],
        "node": ["-subj", "/CN=node", *signed],
    }.items():
        files = ["-keyout", f"{who}.key", "-out", f"{who}.pem"]
        command = ["openssl", "req", "-x509", *key, *files, *more]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return Tls(free_port(), folder / "ca.pem")


@pytest.fixture(scope="session")
def _rabbitmq_4(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[RabbitMQ]:
    listener = [
        f"listeners.ssl.1 = 127.0.0.1:{tls.port}",
        f"ssl_options.certfile = {tls.ca.with_name('node.pem')}",
        f"ssl_options.keyfile = {tls.ca.with_name('node.key')}",
    ]
    forbidden = [f"deprecated_features.permit.{each} = false" for each in DEPRECATED]
    try:
        installation = rabbitmq_install.find_or_fetch_4()
    except ProcessFailed as error:  # a machine without a way to Debian 13
        pytest.skip(str(error))
    broker = RabbitMQ(
        tmp_path_factory.mktemp("rabbitmq-4"),
        installation=installation,
        settings=[*forbidden, *listener, TIMEOUT],
    )
    try:
        broker.start().ctl("eval", LOOK_AT_TIMEOUTS)
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def broker(version: str, request: pytest.FixtureRequest) -> RabbitMQ:
    """A running node of that version."""
    found: RabbitMQ = request.getfixturevalue("rabbitmq" if version == "3.10" else "_rabbitmq_4")
    assert found.ctl("version").strip().startswith(version)
    return found


@pytest.fixture(scope="session")
def virtual_host(broker: RabbitMQ) -> VirtualHost:
    """A virtual host whose queues are quorum queues unless they are declared otherwise."""
    broker.ctl("add_vhost", VHOST, "--default-queue-type", "quorum")
    broker.ctl("set_permissions", "-p", VHOST, "guest", ".*", ".*", ".*")
    return VirtualHost(broker, VHOST)


@pytest.fixture(scope="session")
def open_restaurant(
    servers: Servers,
    virtual_host: VirtualHost,
    _template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Restaurant]:
    """An open restaurant on that virtual host, which is set up by its command's function."""
    name = f"restaurant_{uuid4().hex[:12]}"
    db_url = servers.postgres.create_database(name, template=_template)
    setup_queues(virtual_host.url)
    site = Site(servers, virtual_host)
    made = Restaurant(site, tmp_path_factory.mktemp("restaurant"), db_url)  # type: ignore[arg-type]
    try:
        made.empty_queues()
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture
def restaurant(open_restaurant: Restaurant) -> Iterator[Restaurant]:
    """The same; at the end of each test every order has to be ready, exactly once."""
    yield open_restaurant
    open_restaurant.reset()
