"""The address of RabbitMQ: valid forms, and the messages about others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pizza.config.settings import SettingsError, load
from pizza.taskqueue.broker.address import parse


@pytest.mark.parametrize(
    ("given", "hosts", "vhost"),
    [
        ("mq", [("mq", 5672)], "/"),
        ("a:5672,b:5673", [("a", 5672), ("b", 5673)], "/"),
        ("[::1]:7,[fe80::1],10.0.0.1", [("::1", 7), ("fe80::1", 5672), ("10.0.0.1", 5672)], "/"),
        ("amqps://u:p@a,b:1/v%2Fw", [("a", 5671), ("b", 1)], "v/w"),
        ("amqp://a:1,b:2//", [("a", 1), ("b", 2)], "/"),
    ],
)
def test_hosts_and_the_virtual_host_are_read(
    given: str, hosts: list[tuple[str, int]], vhost: str
) -> None:
    address = parse(given)
    assert (list(address.hosts), address.vhost) == (hosts, vhost)
    assert parse(address.url) == address


def test_a_login_is_decoded_and_never_shown() -> None:
    address = parse("amqp://u%40h:p%2F%3A%25@mq")
    assert (address.user, address.password) == ("u@h", "p/:%")
    assert "p/:%" not in repr(address)
    assert parse(address.url) == address


def test_a_time_out_is_given_in_milliseconds() -> None:
    assert parse("amqp://mq/?connection_timeout=1500").connection_timeout == 1.5


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("amqp://u:secret@h/?heartbeat=5", "parameter 'heartbeat', which is not supported"),
        ("amqp://u:secret@h/?ssl_ca_certs=/x", "parameter 'ssl_ca_certs', which is not supported"),
        ("amqp://u:secret@h/?cacertfile=/x", "'cacertfile', which needs amqps://"),
        ("amqps://u:secret@h/?cacertfile=/none", "no readable certificate: /none"),
        ("amqps://u:secret@h/?certfile=/none", "both certfile and keyfile"),
        ("amqps://u:secret@h/?certfile=/none&keyfile=/none", "cannot be used together"),
        ("amqps://u:secret@h/?verify=verify_none", "must not switch off the check"),
        ("amqps://u:secret@h/?server_name_indication=disable", "names are always checked"),
        ("amqp://u:secret@h/?connection_timeout=60000", "from 100 to 5000 milliseconds"),
        ("amqp://u:secret@h/?connection_timeout=5s", "from 100 to 5000 milliseconds"),
        ("amqp://u:secret@h/?verify", "one without a value"),
        ("amqp://u:secret@a;amqp://b", "must be a host"),
        ("a:5672,", "must be a host"),
        ("amqp://u:secret@h/v#w", "must be a host"),
    ],
)
def test_an_unsupported_address_is_refused_with_one_sentence(address: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refusal:
        load({"rabbitmq": address}, {}, None)
    assert "--rabbitmq (RABBITMQ) " in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_file_of_an_authority_is_read_at_start(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(SettingsError, match="no readable certificate"):
        load({"rabbitmq": f"amqps://h/?cacertfile={file}"}, {}, None)
