"""HTTP clients that cost next to nothing: one thread, raw sockets, requests from templates.

They share two cores with what they measure, so each answer takes one system call to read, one to
send the next order, and no parser.
"""

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from benchmarks import sample_orders
from benchmarks.results import MeasurementFailed

SILENCE_SECONDS = 10.0


@dataclass
class Load:
    """What the clients saw in the window, which is the time after the warm-up.

    created: orders answered with 201 in the window; total: and before and after it.
    began: when the window began, by the wall clock.
    """

    seconds: float
    began: float
    created: int = 0
    total: int = 0
    errors: int = 0
    milliseconds: list[float] = field(default_factory=list)

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

    def send(self, request: bytes) -> None:
        """Send the next order."""
        self.received = b""
        self.sent = time.perf_counter()
        self.sock.sendall(request)

    def receive(self) -> bool:
        """Read what has arrived; True when the answer is complete."""
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
        return self.received.startswith(b"HTTP/1.1 201 ")

    @property
    def order_number(self) -> str:
        """The number in the answer."""
        return self.received.partition(b'"order_number":"')[2].partition(b'"')[0].decode()


class Clients:
    """Keep-alive connections to an order service. idle: those without an order under way."""

    def __init__(self, port: int, count: int) -> None:
        self._all: dict[int, Connection] = {}
        self._poll = select.epoll()
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), 5)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._all[sock.fileno()] = Connection(sock)
            self._poll.register(sock, select.EPOLLIN)
        self.idle = list(self._all.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        for connection in self._all.values():
            connection.sock.close()

    def answered(self, pause: float = 0.0) -> Iterator[Connection]:
        """Wait for answers; gives the connections whose answer is complete, which are idle again.

        pause: how long to wait if no order is under way. Raises MeasurementFailed when no answer
        comes for SILENCE_SECONDS.
        """
        busy = len(self._all) - len(self.idle)
        ready = self._poll.poll(SILENCE_SECONDS if busy else pause)
        if busy and not ready:
            raise MeasurementFailed(f"{busy} orders are not answered.")
        for fd, _ in ready:
            connection = self._all[fd]
            if connection.receive():
                self.idle.append(connection)
                yield connection


def drive(port: int, clients: int, seconds: float, warm_up: float) -> Load:
    """Have each client send the next order when the last is answered, for so long."""
    with Clients(port, clients) as crowd:
        for _ in range(clients):
            crowd.idle.pop().send(sample_orders.request())
        load = Load(seconds, time.time() + warm_up)
        begin = time.perf_counter() + warm_up
        end = begin + seconds
        while len(crowd.idle) < clients:
            for connection in crowd.answered():
                now = time.perf_counter()
                load.total += connection.created
                load.errors += not connection.created
                if begin <= now < end:
                    load.created += connection.created
                    load.milliseconds.append((now - connection.sent) * 1000)
                if now < end:
                    crowd.idle.pop().send(sample_orders.request())
    return load


def paced(port: int, rate: float, seconds: float) -> dict[str, tuple[float, float]]:
    """Send orders at a rate, one at a time: number -> (ms to the answer, when it came)."""
    answers: dict[str, tuple[float, float]] = {}
    with Clients(port, 1) as one:
        begin = time.perf_counter()
        for turn in range(int(rate * seconds)):
            time.sleep(max(0.0, begin + turn / rate - time.perf_counter()))
            one.idle.pop().send(sample_orders.request())
            while not (answered := list(one.answered())):
                pass
            (connection,) = answered
            took = (time.perf_counter() - connection.sent) * 1000
            if not connection.created:
                raise MeasurementFailed(f"An order was refused: {connection.received[:200]!r}.")
            answers[connection.order_number] = took, time.time()
    return answers
