"""Servers that are away for the length of a block, and whatever happens come back after it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from devservices import Postgres, RabbitMQ

Server = Postgres | RabbitMQ


@contextmanager
def down(server: Server) -> Generator[None, None, None]:
    """Crashed: connections are cut and refused."""
    server.kill9()
    try:
        yield
    finally:
        server.start()


@contextmanager
def hung(server: Server) -> Generator[None, None, None]:
    """Frozen: connections are accepted by the kernel, and nothing answers."""
    server.pause()
    try:
        yield
    finally:
        server.resume()
