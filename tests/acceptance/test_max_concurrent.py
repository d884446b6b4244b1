"""The limit of concurrent orders is a setting of the restaurant, not of each order service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devservices import free_port

from ..support.restaurant import Program, Restaurant, eventually, meal
from ..support.restaurant.http_client import Client

COMMAND = "change it with `flask --app pizza kitchen max-concurrent"


@pytest.fixture
def restaurant(new_restaurant: Callable[[], Restaurant]) -> Restaurant:
    return new_restaurant()


@contextmanager
def another(restaurant: Restaurant, *flags: str) -> Iterator[tuple[Program, Client]]:
    """One more order service, while the block lasts."""
    port = free_port()
    usual = ("--mode=order-service", f"--port={port}", "--stations=none", "--web-workers=1")
    service = restaurant.start("another", *usual, *flags)
    service.wait_for("service_started")
    client = Client(port)
    eventually(client.answers, 10, "the other order service is ready")
    yield service, client
    assert service.stop() == 0


def set_by_command(restaurant: Restaurant, limit: int) -> None:
    command = [sys.executable, "-m", "flask", "--app", "pizza", "kitchen", "max-concurrent"]
    subprocess.run(
        [*command, str(limit), "--by", "anna"],
        check=True,
        timeout=30,
        capture_output=True,
        env=os.environ | {"DB_URL": restaurant.db_url},
    )


def warning(service: Program) -> Any:
    (line,) = service.said("max_concurrent_differs")
    assert line["level"] == "WARN"
    return line


def test_another_order_service_keeps_the_limit_and_a_command_sets_it_for_all(
    restaurant: Restaurant,
) -> None:
    first = restaurant.open(max_concurrent=2)
    with another(restaurant, "--max-concurrent=0") as (service, client):
        line = warning(service)
        assert line["details"] == {"given": 0, "holds": 2, "set_by": None}
        assert line["message"] == (
            "--max-concurrent=0 is not used: the restaurant takes 2 orders at a time "
            f"(another order service runs with that); {COMMAND} 0`"
        )
        answers = [each.order(meal()) for each in (client, client, client, restaurant.client)]
        assert [answer.status for answer in answers] == [201, 201, 503, 503]
        assert {answer.document["detail"] for answer in answers[2:]} == {
            "The restaurant takes 2 orders at a time and is full."
        }
        set_by_command(restaurant, 3)
        assert [each.order(meal()).status for each in (client, restaurant.client)] == [201, 503]
    assert first.stop() == 0

    again = restaurant.open(max_concurrent=1)
    line = warning(again)
    assert line["details"] == {"given": 1, "holds": 3, "set_by": "anna"}
    assert "takes 3 orders at a time (anna set that)" in line["message"]
    kitchen = restaurant.client.get("/kitchen").document
    assert (kitchen["max_concurrent"], kitchen["max_concurrent_by"]) == (3, "anna")
