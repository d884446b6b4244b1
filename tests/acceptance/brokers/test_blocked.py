"""While RabbitMQ is short of memory it accepts no messages: orders wait, and this is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from devservices import RabbitMQ

from ...support.restaurant import Restaurant, eventually

ON_4 = pytest.mark.parametrize("version", ["4.0"], indirect=True)
MEMORY = ("set_vm_memory_high_watermark", "absolute")


@contextmanager
def short_of_memory(broker: RabbitMQ) -> Iterator[None]:
    broker.ctl(*MEMORY, "1")
    try:
        yield
    finally:
        broker.ctl(*MEMORY, "1GB")


def is_reported(restaurant: Restaurant, state: str, blocked: int) -> Callable[[], bool]:
    """Whether the health view and the figure say so."""

    def look() -> bool:
        checks = restaurant.client.get("/readyz").document["checks"]
        figures = restaurant.client.get("/metrics").body.decode()
        return checks["broker"] == state and f"pizza_broker_blocked {blocked:.1f}" in figures

    return look


def test_orders_wait_for_a_broker_that_is_short_of_memory(
    restaurant: Restaurant, broker: RabbitMQ
) -> None:
    assert restaurant.service is not None
    restaurant.start_cook("mario")
    restaurant.ledger.wait_for("ready", [restaurant.place()], 10)
    eventually(is_reported(restaurant, "ok", 0), 10, "the broker is ok")
    with short_of_memory(broker):
        numbers = [restaurant.place() for _ in range(3)]
        eventually(is_reported(restaurant, "blocked", 1), 10, "the broker is called blocked")
        restaurant.service.wait_for("broker_blocked")
        assert restaurant.client.get("/readyz").document["status"] == "degraded"
        numbers += [restaurant.place() for _ in range(3)]  # the first ones may have got through
        assert restaurant.ledger.count("received") >= 3
    restaurant.ledger.wait_for("ready", numbers, 15)
    eventually(is_reported(restaurant, "ok", 0), 10, "the broker is ok again")
    assert len(restaurant.ledger.cookings()) == 1 + len(numbers)


@ON_4
def test_an_order_service_stops_and_starts_while_the_broker_is_short_of_memory(
    restaurant: Restaurant, broker: RabbitMQ
) -> None:
    assert restaurant.service is not None
    restaurant.start_cook("luigi")  # whose relay leads when the order service has stopped
    with short_of_memory(broker):
        numbers = [restaurant.place() for _ in range(3)]
        eventually(is_reported(restaurant, "blocked", 1), 10, "the broker is called blocked")
        assert restaurant.service.stop() == 0
        restaurant.open()
        numbers.append(
            restaurant.place()
        )  # RabbitMQ announces it to a connection at its first message
        eventually(
            is_reported(restaurant, "blocked", 1), 15, "the next one says what a cook has seen"
        )
    restaurant.ledger.wait_for("ready", numbers, 15)
    assert len(restaurant.ledger.cookings()) == len(numbers)
