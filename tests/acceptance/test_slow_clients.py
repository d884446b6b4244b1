"""Thousands of half-sent bodies and silent connections, a hung broker: others are answered."""

from __future__ import annotations

import json
import resource
import selectors
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from devservices import RabbitMQ

from ..support.api_service import Service, module_service
from ..support.waiting import Stopwatch

KEY = "a-sound-key-of-the-staff"
STAFF = {"Authorization": f"Bearer {KEY}"}
MEAL = {"customer_name": "Jane Roe", "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}]}
GREEDY, OTHER = "203.0.113.7", {"X-Forwarded-For": "198.51.100.1"}
BODIES, SILENT = 1500, 2200
DEADLINE_S = 10.0
# How long an answer may take while the attack is on; without a deadline none came for 110 s.
SOON_S = 2.0

service = module_service(
    "--max-concurrent=0",
    "--rate-limit=0",
    "--trusted-proxies=127.0.0.1",
    "--max-streams=100",
    STAFF_KEY=KEY,
)


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 8192), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Crowd:
    """Connections that send so much and then a byte now and then."""

    def __init__(self, port: int, count: int, head: bytes) -> None:
        self.links = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for link in self.links:
            link.setblocking(False)
            with suppress(OSError):
                link.send(head)

    def drip(self) -> None:
        for link in self.links:
            with suppress(OSError):
                link.send(b" ")

    def answers(self) -> Counter[bytes]:
        """The first line of what has come on each: empty if the server closed it, or nothing."""
        found: Counter[bytes] = Counter()
        for link in self.links:
            try:
                found[link.recv(4096).partition(b"\r\n")[0]] += 1
            except BlockingIOError:
                found[b"nothing"] += 1
            except OSError:
                found[b""] += 1
        return found

    def close(self) -> None:
        for link in self.links:
            link.close()

    def ended(self) -> bool:
        """Whether the server has answered or closed each of them."""
        with selectors.DefaultSelector() as waiting:
            for link in self.links:
                waiting.register(link, selectors.EVENT_READ)
            return len(waiting.select(0)) == len(self.links)


@contextmanager
def crowd(service: Service, count: int, head: bytes, drip_s: float | None) -> Iterator[Crowd]:
    over = threading.Event()
    with ExitStack() as closing:
        found = Crowd(service.port, count, head)
        closing.callback(found.close)

        def drip() -> None:
            while drip_s is not None and not over.wait(drip_s):
                found.drip()

        dripping = threading.Thread(target=drip)
        dripping.start()
        closing.callback(dripping.join)
        closing.callback(over.set)
        yield found


def everybody_is_answered(service: Service, crowd: Crowd) -> None:
    """Health checks, staff and another client, until the server has ended the crowd."""
    body = json.dumps(MEAL).encode()
    asked = (
        ("GET", "/healthz", None, OTHER, 200),
        ("GET", "/kitchen", None, STAFF, 200),
        ("POST", "/orders", body, {**STAFF, "X-Forwarded-For": GREEDY}, 201),
        ("POST", "/orders", body, OTHER, 201),
    )
    until = time.monotonic() + 60
    rounds = 0
    while not crowd.ended() or rounds < 3:
        assert time.monotonic() < until, crowd.answers()
        for method, path, sent, headers, status in asked:
            watch = Stopwatch()
            assert service.request(method, path, sent, headers).status == status
            watch.assert_within(SOON_S)
        rounds += 1


HEAD = (
    f"POST /orders HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {GREEDY}\r\n"
    "Content-Length: 500\r\n\r\n{"
).encode()


def test_half_sent_bodies_of_one_client_delay_no_others(service: Service) -> None:
    with crowd(service, BODIES, HEAD, 8.0) as slow:
        everybody_is_answered(service, slow)
        answers = slow.answers()
    assert answers[b"HTTP/1.1 408 Request Timeout"] > 0
    # Most are refused at once; a client that sends on may find its connection reset instead.
    assert answers[b"HTTP/1.1 429 Too Many Requests"] > BODIES / 2


def test_silent_connections_delay_no_others_and_are_closed(service: Service) -> None:
    with crowd(service, SILENT, b"", None) as silent:
        everybody_is_answered(service, silent)
        assert silent.answers() == {b"": SILENT}


# From this machine, which has no other limit; also behind a request on the same connection.
ASKED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /orders HTTP/1.1\r\nHost: localhost\r\n"
HEADS = (b"GET /healthz HT", POST, ASKED + POST)
BODY_PARTS = tuple(
    before + POST + rest
    for before in (b"", ASKED)
    for rest in (b"Content-Length: 500\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{")
)


def test_incomplete_heads_and_bodies_are_ended(service: Service) -> None:
    stored = service.stored()
    with ExitStack() as closing:
        links = [
            closing.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            for _ in (*HEADS, *BODY_PARTS)
        ]
        for link, data in zip(links, (*HEADS, *BODY_PARTS), strict=True):
            link.sendall(data)
            link.settimeout(6 * DEADLINE_S)
        answers = [b"".join(iter(lambda: link.recv(4096), b"")) for link in links]  # noqa: B023

    for answer in answers[: len(HEADS)]:
        assert b" 408 " not in answer
    for answer in answers[len(HEADS) :]:
        assert answer.rpartition(b"HTTP/1.1 ")[2].startswith(b"408 ")
        assert b"application/problem+json" in answer
    assert service.stored() == stored


def looked_at(service: Service, over: threading.Event) -> Counter[str]:
    """Repeat every request that reads messages; counts the answers."""
    form = {**STAFF, "Content-Type": "application/x-www-form-urlencoded"}
    asked = (
        ("GET", "/manage/dead-letters", None, STAFF),
        ("POST", "/manage/dead-letters", b"do=retry&id=*", form),
        ("GET", "/readyz", None, {}),
        ("GET", "/metrics", None, STAFF),
    )
    found: Counter[str] = Counter()
    while not over.is_set():
        for method, path, body, headers in asked:
            found[f"{path} {service.request(method, path, body, headers).status}"] += 1
    return found


def median_of_orders(service: Service) -> tuple[float, Counter[str]]:
    """How long an order takes meanwhile, and what the others were answered."""
    over = threading.Event()
    with ThreadPoolExecutor(3) as crowd:
        looking = [crowd.submit(looked_at, service, over) for _ in range(3)]
        try:
            seconds = []
            for _ in range(15):
                began = time.monotonic()
                assert service.order(MEAL).status == 201
                seconds.append(time.monotonic() - began)
        finally:
            over.set()
        return statistics.median(seconds), sum((each.result() for each in looking), Counter())


def test_while_rabbitmq_hangs_orders_take_as_long_as_before(
    service: Service, rabbitmq: RabbitMQ
) -> None:
    """Requests about dead letters and the broker read PostgreSQL only."""
    median_of_orders(service)
    before, answers = median_of_orders(service)
    rabbitmq.pause()
    try:
        during, answers_then = median_of_orders(service)
    finally:
        rabbitmq.resume()

    assert during < 5 * before + 0.2
    assert set(answers) == set(answers_then)
    assert {each.rpartition(" ")[2] for each in answers_then} <= {"200", "303"}
