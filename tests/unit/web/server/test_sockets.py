"""The sockets on which a process listens."""

import socket

import pytest

from pizza.web.server import sockets


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
def test_connections_whose_client_reads_nothing_are_closed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        sockets.set_send_timeout(30)
        with socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
            found = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert found == 30_000
