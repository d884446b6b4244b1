"""The connections that this process has accepted: found among its descriptors, judged, and ended.

Granian reads and writes them itself and does not say which request came on which connection. The
kernel knows of each connection who is at its other end, and when data came and went last.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pizza.web.security.forwarded import parse_address

_DESCRIPTORS = "/dev/fd"
# struct tcp_info of linux/tcp.h: milliseconds since data was sent and received last, and how many
# segments of data came in and went out.
_TCP_INFO_BYTES = 160
_LAST_SENT, _LAST_RECEIVED = 44, 52
_SEGMENTS_IN, _SEGMENTS_OUT = 152, 156


@dataclass(frozen=True, slots=True)
class Connection:
    """One accepted connection, as it was a moment ago.

    descriptor: its number in this process; peer: address and port of the client. answered: seconds
    since something was sent on it, or since it was accepted; is_silent: the client has sent
    nothing; is_pending: the client has sent something since.
    """

    descriptor: int
    peer: tuple[str, int]
    answered: float
    is_silent: bool
    is_pending: bool

    @property
    def address(self) -> str:
        """The client's address, in one form for each."""
        return normalized(self.peer[0])

    def end(self, how: int = socket.SHUT_RD) -> None:
        """Have the server read the end of the stream; with SHUT_RD an answer can still be sent.

        Does nothing if the descriptor belongs to another connection by now.
        """
        with suppress(OSError), _borrowed(self.descriptor) as link:
            if link.getpeername()[:2] == self.peer:
                link.shutdown(how)


def accepted() -> list[Connection]:
    """The connections whose local port is one on which this process listens.

    Costs about 20 µs for each descriptor of the process.
    """
    ports: set[int] = set()
    links: list[tuple[int, int, Connection]] = []
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208  (numbers, not files)
        # It may be closed meanwhile.
        with suppress(OSError), _borrowed(int(name)) as link:
            port = link.getsockname()[1]
            if link.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                ports.add(port)
            else:
                links.append((int(name), port, _seen(int(name), link)))
    return [found for _, port, found in links if port in ports]


def count_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir(_DESCRIPTORS))  # noqa: PTH208


def normalized(address: str) -> str:
    """An address in the form that `Connection.address` has."""
    return str(parse_address(address) or address)


def _seen(descriptor: int, link: socket.socket) -> Connection:
    info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    if len(info) < _TCP_INFO_BYTES:
        raise OSError("this kernel does not tell enough of a connection")
    field = lambda at: struct.unpack_from("=I", info, at)[0]  # noqa: E731
    is_silent = field(_SEGMENTS_IN) == 0
    unanswered = field(_SEGMENTS_OUT) == 0 or field(_LAST_RECEIVED) < field(_LAST_SENT)
    return Connection(
        descriptor, link.getpeername()[:2], field(_LAST_SENT) / 1000,
        is_silent=is_silent, is_pending=unanswered and not is_silent,
    )  # fmt: skip


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """A TCP socket of another owner, which stays open. Raises OSError if it is none."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        raise OSError("not a socket")
    copy = os.dup(descriptor)
    try:
        link = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with link:
        if link.family not in (socket.AF_INET, socket.AF_INET6) or link.type != socket.SOCK_STREAM:
            raise OSError("not TCP")
        yield link
