"""Fewer system calls on a broker connection.

py-amqp reads a frame with three calls, each preceded by a poll, and writes each with one. A ticket
of three frames took 18 calls; read ahead, it takes two. What is written together also costs
RabbitMQ less: its reader is woken once for it.

This is the only module that uses private attributes of py-amqp. Where a version of it lacks one of
them, or the connection is a TLS connection, frames are read and written as py-amqp does it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from amqp.transport import TCPTransport

_AHEAD = 8192
_MOST_HELD = 65_536
_PRIVATE = ("_quick_recv", "_write", "_read_buffer")


class Wire:
    """The bytes of one connection, read ahead and held back where that is possible."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held = bytearray()
        self._holding = False
        self._buffers = isinstance(transport, TCPTransport) and all(
            hasattr(transport, name) for name in _PRIVATE
        )
        if self._buffers:
            receive, self._send = transport._quick_recv, transport._write
            transport._quick_recv = lambda size: receive(max(size, _AHEAD))
            transport._write = self._write

    @property
    def ahead(self) -> bool:
        """Whether input was received that no poll of the socket will announce any more.

        It lies in py-amqp's buffer or, already decrypted, in the TLS socket.
        """
        if getattr(self._transport, "_read_buffer", b""):
            return True
        pending = getattr(self._transport.sock, "pending", None)  # only TLS sockets have it
        return pending is not None and pending() > 0

    def _write(self, data: Any) -> None:
        if self._holding:
            self._held += data
            if len(self._held) > _MOST_HELD:
                self._send_held()
        elif self._held:
            self._held += data
            self._send_held()
        else:
            self._send(data)

    def _send_held(self) -> None:
        held, self._held = self._held, bytearray()
        self._send(held)

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Hold back what the block writes; it leaves with whatever is written or flushed next."""
        self._holding = self._buffers
        try:
            yield
        finally:
            self._holding = False

    def flush(self) -> None:
        """Let go what is held."""
        if self._held:
            self._send_held()
