"""Cooks for certain order types: what they log, and which orders they leave to others."""

from __future__ import annotations

import pytest

from ...support.restaurant import Restaurant, eventually, meal
from ...support.restaurant.sample_orders import KINDS


@pytest.mark.parametrize(
    ("order_types", "sentence"),
    [
        ("delivery", "Listening for delivery orders only"),
        ("dine-in,takeout", "Worker registered for order types: dine-in,takeout"),
        ("takeout,delivery,dine-in", "Worker registered for all order types"),
    ],
)
def test_a_cook_logs_its_order_types(
    restaurant: Restaurant, order_types: str, sentence: str
) -> None:
    cook = restaurant.start_cook("anna", order_types=order_types)

    line = cook.said("worker_registered")[0]

    assert line["message"] == sentence
    assert line["level"] == "INFO"
    assert line["worker_name"] == "anna"


def test_a_cook_without_order_types_takes_all(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("anna")
    numbers = restaurant.place_all([meal(kind) for kind in KINDS])

    restaurant.ledger.wait_for("ready", numbers, 5)

    line = cook.said("worker_registered")[0]
    assert line["message"] == "Worker registered for all order types"


def test_a_cook_takes_only_its_types_and_another_the_rest(restaurant: Restaurant) -> None:
    restaurant.start_cook("courier_cook", order_types="delivery")
    numbers = restaurant.place_all([meal(kind) for kind in KINDS * 4])
    orders = restaurant.ledger.orders()
    deliveries = [number for number in numbers if orders[number]["type"] == "delivery"]
    restaurant.ledger.wait_for("ready", deliveries, 5)
    eventually(lambda: not restaurant.ledger.count("cooking"), 5, "the cook has put its spoon down")
    assert restaurant.ledger.count("received") == 8

    restaurant.start_cook("house_cook", order_types="dine-in,takeout")
    restaurant.ledger.wait_for("ready", numbers, 5)

    cooks = {order["type"]: order["processed_by"] for order in restaurant.ledger.orders().values()}
    assert cooks == {"delivery": "courier_cook", "dine-in": "house_cook", "takeout": "house_cook"}


def test_a_high_priority_order_is_announced_as_such(restaurant: Restaurant) -> None:
    cook = restaurant.start_cook("anna")

    number = restaurant.place(customer_type="vip")
    restaurant.ledger.wait_for("ready", [number], 5)

    line = cook.said("order_processing")[0]
    assert line["message"] == "Processing HIGH PRIORITY order"
    assert line["order_number"] == number
    assert 10 in (line.get("priority"), line["details"].get("priority"))
