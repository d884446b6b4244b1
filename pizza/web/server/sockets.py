"""Finds the TCP sockets of this process among its descriptors: listening and accepted ones.

Granian opens the listening sockets itself (one for each worker, on a shared port) and cannot stop
accepting without ending. It does not say which request belongs to which connection; the kernel
knows the peer of each connection, and when data was sent and received last.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from pizza.web.security.forwarded import parse_address

# struct tcp_info of linux/tcp.h: milliseconds since data was sent and received last, and how many
# segments of data came in and went out.
_TCP_INFO_BYTES = 160
_LAST_SENT, _LAST_RECEIVED = 44, 52
_SEGMENTS_IN, _SEGMENTS_OUT = 152, 156


@dataclass(frozen=True, slots=True)
class Connection:
    """A snapshot of one accepted connection.

    descriptor: its number in this process. peer: address and port of the client. answered: seconds
    since the last data was sent, or since it was accepted. is_silent: the client has sent nothing.
    is_pending: the client has sent data since.
    """

    descriptor: int
    peer: tuple[str, int]
    answered: float
    is_silent: bool
    is_pending: bool

    @property
    def address(self) -> str:
        """The client's address in canonical form."""
        return normalized(self.peer[0])

    def shut_down(self, how: int = socket.SHUT_RD) -> None:
        """Shut the connection down; with SHUT_RD a response can still be sent.

        Does nothing if the descriptor belongs to another connection by now.
        """
        with suppress(OSError), _borrowed(self.descriptor) as link:
            if link.getpeername()[:2] == self.peer:
                link.shutdown(how)


def accepted() -> list[Connection]:
    """The connections to the ports on which this process listens.

    Takes about 20 µs for each descriptor of the process.
    """
    ports: set[int] = set()
    links: list[tuple[int, Connection]] = []
    for number in open_descriptors():
        # It may be closed in the meantime.
        with suppress(OSError), _borrowed(number) as link:
            port = link.getsockname()[1]
            if link.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                ports.add(port)
            else:
                links.append((port, _snapshot(number, link)))
    return [found for port, found in links if port in ports]


def open_descriptors() -> list[int]:
    """The descriptors that this process has open."""
    return [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208  (numbers, not files)


def normalized(address: str) -> str:
    """An address in canonical form, as in `Connection.address`."""
    return str(parse_address(address) or address)


def is_listening() -> bool:
    """Whether this process listens on a TCP port."""
    return any(True for _ in _listeners())


def stop_listening() -> None:
    """Stop listening; accepted connections continue.

    New connections go to other processes that listen on the port, or are refused. Each descriptor
    is replaced by a socket without events, for which granian's loop waits. (After a shutdown of the
    socket that loop would spin.)
    """
    for number in list(_listeners()):
        with closing(socket.socket()) as unused, suppress(OSError):
            os.dup2(unused.fileno(), number, inheritable=False)


def set_send_timeout(seconds: float) -> None:
    """Close connections whose client acknowledges nothing for so many seconds.

    Granian and the thread of a stream would wait for them without limit. Connections inherit the
    option from the listening socket. It applies to clients that vanished and to clients that do not
    read. Does nothing where the system lacks the option.
    """
    if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is None:
        return
    for number in list(_listeners()):
        with suppress(OSError), _borrowed(number) as found:
            found.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


def _listeners() -> Iterator[int]:
    for number in open_descriptors():
        with suppress(OSError), _borrowed(number) as found:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield number


def _snapshot(descriptor: int, link: socket.socket) -> Connection:
    info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    if len(info) < _TCP_INFO_BYTES:
        raise OSError("this kernel reports too little about a connection")
    field = lambda at: struct.unpack_from("=I", info, at)[0]  # noqa: E731
    is_silent = field(_SEGMENTS_IN) == 0
    unanswered = field(_SEGMENTS_OUT) == 0 or field(_LAST_RECEIVED) < field(_LAST_SENT)
    return Connection(
        descriptor,
        link.getpeername()[:2],
        field(_LAST_SENT) / 1000,
        is_silent=is_silent,
        is_pending=unanswered and not is_silent,
    )


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Lend a duplicate of a TCP socket. Raises OSError if it is not one."""
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
