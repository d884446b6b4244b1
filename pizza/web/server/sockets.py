"""The sockets on which this process listens: found, tuned, and taken out of its hands at the end.

Granian makes them itself (each worker one of its own, on a shared port) and has no way to stop
accepting without ending. So they are looked up among the open descriptors.
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
    """Listen no more; what was accepted goes on.

    New connections go to whoever else listens on the port, and are refused if nobody does. In the
    place of each descriptor is a socket on which nothing ever happens: the server's own loop waits
    for it as before. (A mere shutdown would have that loop spin.)
    """
    for number in list(_listeners()):
        with closing(socket.socket()) as quiet, suppress(OSError):
            os.dup2(quiet.fileno(), number, inheritable=False)


def set_send_timeout(seconds: float) -> None:
    """Cut off clients that take nothing of what is sent to them for so long.

    Granian waits for them without an end, and a stream's thread with it. Connections inherit this
    from the socket that accepts them; it holds for one that is gone without a word, and for one
    that does not read. Where the system has no such option nothing happens.
    """
    if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is None:
        return
    for number in list(_listeners()):
        with suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
            found.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


def _listeners() -> Iterator[int]:
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208  (numbers, not files)
        with suppress(OSError):  # closed meanwhile
            if _listens(int(name)):
                yield int(name)


def _listens(number: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        return False
    with socket.socket(fileno=os.dup(number)) as found:
        return found.family in _FAMILIES and bool(
            found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        )
