"""Finds the listening sockets of this process, sets a send timeout, and stops listening.

Granian opens them itself (one for each worker, on a shared port) and cannot stop accepting without
ending. So they are found among the open descriptors.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

from pizza.web.server.connections import borrowed, open_descriptors


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
        with suppress(OSError), borrowed(number) as found:
            found.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


def _listeners() -> Iterator[int]:
    for number in open_descriptors():
        with suppress(OSError), borrowed(number) as found:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield number
