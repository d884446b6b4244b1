"""Opens a connection to RabbitMQ: tries each host in turn, with TLS if the address says so."""

import re
import socket
import ssl
from collections.abc import Callable
from typing import Any

import amqp
from amqp.exceptions import AMQPError
from kombu.transport.pyamqp import Connection

from pizza.taskqueue.broker.address import BrokerAddress, host_and_port
from pizza.taskqueue.broker.errors import explain, text_of
from pizza.taskqueue.errors import BrokerUnavailable

CONNECT_TIMEOUT_S = 3.0
# Less than LEADER_TIMEOUT_S: a leader sends no heartbeat while it connects.
_ALL_HOSTS_S = 6.0
_LEAST_S = 1.0
IO_TIMEOUT_S = 5.0

_NO_VHOST = re.compile(r"vhost '?(.*?)'? not found", re.DOTALL)
_VHOST_REFUSED = re.compile(r"access to vhost '(.*)' refused", re.DOTALL)


def connect(
    address: BrokerAddress,
    *,
    name: str,
    heartbeat: int,
    frames: Any,
    on_blocked: Callable[[str], None],
    on_unblocked: Callable[[], None],
) -> amqp.Connection:
    """Connect to the first host that accepts.

    The timeout of a host is that of the address, or 3 s; with more than two hosts less, but at
    least 1 s. name: shown by `rabbitmqctl list_connections`; heartbeat: seconds; frames: py-amqp's
    `frame_handler`. Raises BrokerUnavailable, with the reason of each host, when none accepts.
    """
    timeout = address.connection_timeout or CONNECT_TIMEOUT_S
    timeout = min(timeout, max(_LEAST_S, _ALL_HOSTS_S / len(address.hosts)))
    failures: list[tuple[str, BrokerUnavailable]] = []
    for host, port in address.hosts:
        # kombu's class: its channels understand kombu's queues.
        connection = Connection(
            # As kombu: localhost may have an IPv6 address where another program listens.
            host=host_and_port(("127.0.0.1" if host == "localhost" else host, port)),
            userid=address.user,
            password=address.password,
            login_method="PLAIN",
            virtual_host=address.vhost,
            ssl=address.tls_options(host),
            connect_timeout=timeout,
            heartbeat=heartbeat,
            client_properties={"connection_name": name},
            socket_settings={socket.TCP_NODELAY: 1},
            read_timeout=int(IO_TIMEOUT_S),
            write_timeout=int(IO_TIMEOUT_S),
            frame_handler=frames,
            on_blocked=on_blocked,
            on_unblocked=on_unblocked,
        )
        try:
            connection.connect()
        except (AMQPError, OSError) as error:
            connection.collect()
            failures.append((host_and_port((host, port)), _explain(error, address, host)))
            failures[-1][1].__cause__ = error
        else:
            return connection
    if len(failures) == 1:
        raise failures[0][1]
    reasons = "; ".join(f"{host}: {failure}" for host, failure in failures)
    raise BrokerUnavailable(f"RabbitMQ is not available at any of its hosts ({reasons})")


def _explain(error: Exception, address: BrokerAddress, host: str) -> BrokerUnavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerUnavailable(
            f"the certificate of RabbitMQ at {host} is not accepted ({error.verify_message}): "
            "it has to be valid for that name or address, and its authority has to be known "
            "to this machine or be named by cacertfile in the address"
        )
    text = text_of(error)
    if isinstance(error, amqp.AccessRefused):
        return BrokerUnavailable(
            f"RabbitMQ refuses the login of user {address.user!r}: check the name and the password"
        )
    if isinstance(error, amqp.NotAllowed) and (vhost := _NO_VHOST.search(text)):
        return BrokerUnavailable(
            f"RabbitMQ has no virtual host {vhost[1]!r}: create it, or name another in the address"
        )
    if isinstance(error, amqp.NotAllowed) and (vhost := _VHOST_REFUSED.search(text)):
        return BrokerUnavailable(
            f"user {address.user!r} may not use RabbitMQ's virtual host {vhost[1]!r}: "
            "grant it permissions there"
        )
    return explain(error)
