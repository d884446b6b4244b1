"""The proxy that misbehaves as networks do: one way only, and at any byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from random import Random

import pytest

from devservices import Proxy


class Echo:
    """A server that says again whatever it hears, and remembers it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        line, _ = self._listener.accept()
        try:
            while data := line.recv(65536):
                self.received += data
                line.sendall(data)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    found = Echo()
    yield found
    found.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    found = Proxy(echo.address)
    yield found
    found.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    host, _, port = proxy.address.rpartition(":")
    with socket.create_connection((host, int(port)), 5) as line:
        line.sendall(b"hello")
        assert line.recv(5) == b"hello"
        yield line


def nothing_comes(client: socket.socket) -> bool:
    client.settimeout(0.5)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)
    return False


def test_silent_towards_the_server_only(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    proxy.blackhole(to_client=False)
    client.sendall(b"one")
    assert nothing_comes(client)
    assert echo.received == b"hello"
    proxy.resume()
    assert client.recv(3) == b"one"


def test_silent_towards_the_client_only(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    proxy.blackhole(to_server=False)
    client.sendall(b"two")
    assert nothing_comes(client)
    assert echo.received == b"hellotwo"
    proxy.resume()
    assert client.recv(3) == b"two"


def test_what_was_held_up_is_lost_when_it_heals(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    proxy.blackhole(to_client=False)
    client.sendall(b"lost")
    proxy.recover()
    with pytest.raises(OSError, match="reset"):
        client.recv(1)
    assert echo.received == b"hello"


def test_cut_after_so_many_bytes(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    most = Random(3).randint(0, 100)
    proxy.limit_data(Random(3), 100)
    with pytest.raises(OSError):
        while True:
            client.sendall(b"." * 50)
            if not client.recv(50):
                raise OSError("closed")
    assert len(echo.received) - len(b"hello") <= most <= 100
