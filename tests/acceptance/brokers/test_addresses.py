"""Addresses with several hosts, with parameters, and with TLS."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devservices import RabbitMQ, free_port
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.errors import BrokerUnavailable

from ...support.restaurant import Restaurant
from .conftest import Tls

ON_4 = pytest.mark.parametrize("version", ["4.0"], indirect=True)
pytestmark = ON_4


@contextmanager
def silent_host() -> Iterator[str]:
    """A host that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def connected_to(url: str) -> int:
    """The port that a broker connection has found."""
    broker = BrokerConnection(url, name="test")
    port: int = broker.connection.transport.port
    broker.close()
    return port


# -- several hosts ---------------------------------------------------------------------------


def test_hosts_are_tried_in_turn(broker: RabbitMQ) -> None:
    with silent_host() as silent:
        hosts = f"127.0.0.1:{free_port()},{silent},{broker.address}"
        assert connected_to(f"amqp://guest:guest@{hosts}//?connection_timeout=1000") == broker.port


def test_each_host_that_does_not_answer_is_named(broker: RabbitMQ) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerUnavailable) as refusal:
        BrokerConnection(f"amqp://guest:wrong@{nobody},{broker.address}/", name="test")
    assert f"{nobody}: RabbitMQ is not available: [Errno 111]" in str(refusal.value)
    assert f"{broker.address}: RabbitMQ refuses the login of user 'guest'" in str(refusal.value)
    assert "wrong" not in str(refusal.value)


def test_a_cook_finds_the_host_that_answers(restaurant: Restaurant) -> None:
    login, _, rest = restaurant.servers.rabbitmq.url.partition("@")
    address = f"{login}@127.0.0.1:{free_port()},{rest}?connection_timeout=5000"
    restaurant.start_cook("mario", rabbitmq=address)
    restaurant.ledger.wait_for("ready", [restaurant.place()], 10)


# -- parameters ------------------------------------------------------------------------------


def test_a_parameter_that_is_not_supported_is_a_sentence_at_start(restaurant: Restaurant) -> None:
    known = "cacertfile, certfile, keyfile, server_name_indication, verify, connection_timeout"
    unknown = restaurant.start_cook_soon("yoshi", rabbitmq="amqp://h/?heartbeat=5")
    plain = restaurant.start_cook_soon("toad", rabbitmq="amqp://h/?cacertfile=/x")
    unknown.refused(
        "--rabbitmq (RABBITMQ) has the parameter 'heartbeat', which is not supported; "
        f"those that are: {known}. See restaurant-system --help."
    )
    plain.refused(
        "--rabbitmq (RABBITMQ) has the parameter 'cacertfile', which needs amqps:// "
        "instead of amqp://. See restaurant-system --help."
    )


# -- TLS -------------------------------------------------------------------------------------


def test_an_ip_address_in_the_certificate_is_a_name(broker: RabbitMQ, tls: Tls) -> None:
    url = f"amqps://guest:guest@127.0.0.1:{tls.port}//?cacertfile={tls.ca}"
    assert connected_to(url) == tls.port


def test_a_certificate_for_another_name_is_refused(
    broker: RabbitMQ, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when this machine trusts its authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.ca))
    with pytest.raises(BrokerUnavailable, match=r"at localhost is not .*mismatch"):
        BrokerConnection(f"amqps://guest:guest@localhost:{tls.port}//", name="test")
    assert connected_to(f"amqps://guest:guest@127.0.0.1:{tls.port}//") == tls.port


def test_the_name_in_the_certificate_can_be_given(broker: RabbitMQ, tls: Tls) -> None:
    url = f"amqps://guest:guest@localhost:{tls.port}//?cacertfile={tls.ca}"
    assert connected_to(f"{url}&server_name_indication={tls.name}") == tls.port


def test_an_unknown_certificate_authority_is_refused(broker: RabbitMQ, tls: Tls) -> None:
    with pytest.raises(BrokerUnavailable, match="its authority has to be known"):
        BrokerConnection(f"amqps://guest:guest@127.0.0.1:{tls.port}//", name="test")
