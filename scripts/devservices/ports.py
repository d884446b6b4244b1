"""Free ports on the loopback interface."""

import random
import socket
import sys
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST_PORT = 10_000
# With what claims them for as long as this process lives: tests that run side by side would
# otherwise be given the port of a server that is down just then.
_handed_out: dict[int, socket.socket] = {}


def listens(port: int) -> bool:
    """Whether a server accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def claim(port: int) -> socket.socket | None:
    """Say that this process is going to use the port; None when it is in use or claimed already.

    Keep the socket for as long as the claim is to hold. Without a claim two programs that start at
    once could both find the port free, and share it: servers that allow that to their workers
    (SO_REUSEPORT) allow it to one another. The claim is a name of Linux's, gone with the process.
    """
    token = socket.socket(socket.AF_UNIX)
    try:
        if sys.platform == "linux":
            token.bind(f"\0pizza-port-{port}")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
    except OSError:
        token.close()
        return None
    return token


def free_port() -> int:
    """A port that is free, and that no other call on this machine returns meanwhile.

    Taken from below the range that the kernel gives to outgoing connections: a client that
    retries a server that is down could otherwise be given the server's own port as its source,
    connect to itself, and keep the server from coming back.
    """
    ceiling = _first_outgoing_port()
    for _ in range(1000):
        port = random.randrange(FIRST_PORT, ceiling)
        if port not in _handed_out and (token := claim(port)) is not None:
            _handed_out[port] = token
            return port
    raise OSError(f"No free port between {FIRST_PORT} and {ceiling} on {LOOPBACK}.")


def _first_outgoing_port() -> int:
    """The lower end of the kernel's range for outgoing connections (32768 unless configured)."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768
    return first if first > FIRST_PORT + 1000 else 32_768
