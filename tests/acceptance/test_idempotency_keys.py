"""Idempotency-Key over HTTP: the same key gives the same answer, and one order."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from devservices import Servers

from ..support.api_service import Answer, Service
from ..support.restaurant import eventually, meal
from ..support.restaurant.outages import down
from ..support.waiting import TIMEOUT_FACTOR

Start = Callable[..., Service]
_STOP_S = 4.0


@pytest.fixture
def start(db_url: str, servers: Servers, tmp_path: Path) -> Iterator[Start]:
    """Starts order services on a database of the test's own."""
    started: list[Service] = []

    def start(*flags: str) -> Service:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        service = Service(folder, db_url, servers.rabbitmq.url, *flags)
        started.append(service)
        service.program.wait_for("service_started")
        return service

    yield start
    for service in started:
        service.program.terminate()
        service.program.process.finish(TIMEOUT_FACTOR * _STOP_S)
        service.program.check_output()


def order(service: Service, body: object, key: str) -> Answer:
    return service.order(body, {"Idempotency-Key": key})


def keys(service: Service) -> list[tuple[Any, ...]]:
    return service.query("select key, order_number from idempotency_key")


def test_a_request_that_is_sent_again_gets_the_same_answer_byte_for_byte(start: Start) -> None:
    service = start()
    key, body = str(uuid4()), meal()

    first, again = order(service, body, key), order(service, body, key)

    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["Location"] == first.headers["Location"]
    assert first.headers["Idempotent-Replayed"] is None
    assert again.headers["Idempotent-Replayed"] == "true"
    assert service.stored()[0] == 1

    other = order(service, meal(), key)
    assert other.status == 422
    assert [error["field"] for error in other.problem()["errors"]] == ["Idempotency-Key"]
    assert service.stored()[0] == 1


def test_two_hundred_racing_requests_place_one_order(start: Start) -> None:
    service = start("--web-workers=2")
    key, body = str(uuid4()), meal()

    with ThreadPoolExecutor(200) as crowd:
        replies = list(crowd.map(lambda _: order(service, body, key), range(200)))

    # Requests during the first one got the time after which to repeat.
    assert {reply.status for reply in replies} <= {201, 409}
    assert all(reply.headers["Retry-After"] for reply in replies if reply.status == 409)
    bodies = {reply.body for reply in replies if reply.status == 201}
    assert len(bodies) == 1
    placed = [reply for reply in replies if reply.status == 201]
    assert len([each for each in placed if each.headers["Idempotent-Replayed"] is None]) == 1
    assert service.stored()[0] == 1
    assert len(service.query("select 1 from message where task is not null")) == 1
    assert order(service, body, key).body in bodies


def test_a_key_is_free_after_a_refusal_and_answered_while_the_restaurant_is_full(
    start: Start,
) -> None:
    service = start("--max-concurrent=1")
    early, late, body = str(uuid4()), str(uuid4()), meal()
    first = order(service, body, early)

    refused = order(service, body, late)
    again = order(service, body, early)

    assert refused.status == 503
    assert (again.status, again.body) == (201, first.body)
    assert order(service, {**body, "items": []}, late).status == 422
    assert [key for key, _ in keys(service)] == [early]

    number = first.json["order_number"]
    assert service.request("POST", f"/orders/{number}/cancel").status == 200
    assert order(service, body, late).status == 201


def test_a_client_that_lost_its_answer_repeats_the_request(start: Start) -> None:
    service = start()
    key, body = str(uuid4()), json.dumps(meal()).encode()
    head = (
        f"POST /orders HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )

    with socket.create_connection(("127.0.0.1", service.port)) as link:
        link.sendall(head.encode() + body)
        # The server may drop the request of a client that goes before its order is stored.
        eventually(lambda: keys(service), 10, "the order of the client is stored")

    again = order(service, body, key)
    assert again.status == 201
    assert keys(service) == [(key, again.json["order_number"])]
    assert service.stored()[0] == 1


def test_clients_that_repeat_through_an_outage_have_one_order_each(
    start: Start, servers: Servers
) -> None:
    """PostgreSQL crashes between orders and their answers, so clients do not know the result."""
    service = start("--max-concurrent=0")
    over = threading.Event()

    def insist(meals: list[dict[str, Any]]) -> list[tuple[str, str]]:
        placed = []
        for each in meals:
            key = str(uuid4())
            while (reply := order(service, each, key)).status != 201:
                assert reply.status in (409, 503), reply.body
                assert not over.wait(0.1), reply.body
            placed.append((key, reply.json["order_number"]))
        return placed

    with ThreadPoolExecutor(8) as crowd:
        clients = [crowd.submit(insist, [meal() for _ in range(40)]) for _ in range(8)]
        try:
            for wanted in (40, 160):
                eventually(lambda n=wanted: len(keys(service)) >= n, 30, f"{wanted} are placed")
                with down(servers.postgres):
                    pass
            placed = [pair for client in clients for pair in client.result(60)]
        finally:
            over.set()

    assert sorted(keys(service)) == sorted(placed)
    assert service.stored()[0] == len(placed) == 8 * 40


def test_any_order_service_of_the_restaurant_answers_again(start: Start) -> None:
    key, body = str(uuid4()), meal()

    first = order(start(), body, key)

    assert order(start(), body, key).body == first.body


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9"])
def test_an_invalid_key_is_refused_by_name(start: Start, key: str) -> None:
    service = start()

    answer = order(service, meal(), key)

    assert answer.status == 400
    assert [error["field"] for error in answer.problem()["errors"]] == ["Idempotency-Key"]
    assert service.stored()[0] == 0
