"""HTTP clients that cost next to nothing: one thread, raw sockets, requests from templates.

They share two cores with what they measure, so each answer takes one system call to read, one to
send the next order, and no parser.
"""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import sample_orders
from benchmarks.results import MeasurementFailed

CREATED = b"HTTP/1.1 201 "
SILENCE_SECONDS = 10.0


@dataclass
class Load:
    """What the clients saw in the window, which is the time after the warm-up.

    created: orders answered with 201 in the window; total: and before and after it.
    began, ended: the window by the wall clock.
    """

    seconds: float = 0.0
    created: int = 0
    total: int = 0
    errors: int = 0
    milliseconds: list[float] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0

    @property
    def rate(self) -> float:
        """Orders created in a second."""
        return self.created / self.seconds


@dataclass
class Connection:
    """One keep-alive client: an order under way, and what has come of its answer."""

    sock: socket.socket
    sent: float = 0.0
    received: bytes = b""

    def order(self) -> None:
        """Send the next order."""
        self.received = b""
        self.sent = time.perf_counter()
        self.sock.sendall(sample_orders.request())

    def read(self) -> bool:
        """Take what has arrived; True when the answer is complete."""
        data = self.sock.recv(65536)
        if not data:
            raise MeasurementFailed("The order service closed a connection.")
        self.received += data
        head, gap, body = self.received.partition(b"\r\n\r\n")
        if not gap:
            return False
        at = head.lower().index(b"content-length:") + 15
        return len(body) >= int(head[at : at + 12].split(b"\r", 1)[0])

    @property
    def created(self) -> bool:
        """Whether the answer was 201."""
        return self.received.startswith(CREATED)


@contextmanager
def connections(port: int, count: int) -> Iterator[dict[int, Connection]]:
    """Open connections, by file descriptor."""
    found: dict[int, Connection] = {}
    try:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), 5)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found[sock.fileno()] = Connection(sock)
        yield found
    finally:
        for connection in found.values():
            connection.sock.close()


def drive(port: int, clients: int, seconds: float, warm_up: float) -> Load:
    """Have each client send the next order when the last is answered, for so long."""
    load = Load()
    with connections(port, clients) as open_ones, select.epoll() as poll:
        for fd, connection in open_ones.items():
            poll.register(fd, select.EPOLLIN)
            connection.order()
        begin = time.perf_counter() + warm_up
        end = begin + seconds
        load.began = time.time() + warm_up
        busy = clients
        while busy:
            ready = poll.poll(SILENCE_SECONDS)
            if not ready:
                raise MeasurementFailed(f"{busy} orders are not answered.")
            for fd, _ in ready:
                connection = open_ones[fd]
                if not connection.read():
                    continue
                now = time.perf_counter()
                _count(load, connection, now, begin <= now < end)
                if now < end:
                    connection.order()
                else:
                    busy -= 1
    load.seconds, load.ended = seconds, load.began + seconds
    return load


def _count(load: Load, connection: Connection, now: float, in_window: bool) -> None:
    load.total += connection.created
    load.errors += not connection.created
    if in_window:
        load.created += connection.created
        load.milliseconds.append((now - connection.sent) * 1000)


def paced(port: int, rate: float, seconds: float) -> dict[str, tuple[float, float]]:
    """Send orders at a rate, one at a time: number -> (ms to the answer, when it came)."""
    answers: dict[str, tuple[float, float]] = {}
    with connections(port, 1) as one:
        (connection,) = one.values()
        begin = time.perf_counter()
        for turn in range(int(rate * seconds)):
            time.sleep(max(0.0, begin + turn / rate - time.perf_counter()))
            connection.order()
            while not connection.read():
                pass
            took = (time.perf_counter() - connection.sent) * 1000
            if not connection.created:
                raise MeasurementFailed(f"An order was refused: {connection.received[:200]!r}.")
            answers[_number(connection.received)] = took, time.time()
    return answers


def _number(answer: bytes) -> str:
    return answer.partition(b'"order_number":"')[2].partition(b'"')[0].decode()
