"""Finds the listening sockets of this process, sets a send timeout, and stops listening.

Granian opens them itself (one for each worker, on a shared port) and cannot stop accepting without
ending. So they are found among the open descriptors.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, suppress

_DESCRIPTORS = "/dev/fd"
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


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
        with suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
            found.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


def _listeners() -> Iterator[int]:
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208  (numbers, not files)
        with suppress(OSError):  # closed in the meantime
            if _listens(int(name)):
                yield int(name)


def _listens(number: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        return False
    with socket.socket(fileno=os.dup(number)) as found:
        return found.family in _FAMILIES and bool(
            found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        )
