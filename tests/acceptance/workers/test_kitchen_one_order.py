"""One order of each type through the kitchen: received, cooking, ready."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from ...support.restaurant import AmqpTap, Answer, LogRow, Program, Restaurant, meal
from ...support.restaurant.amqp_tap import Copy
from ...support.restaurant.program import TIMESTAMP
from ...support.restaurant.sample_orders import KINDS
from ...support.waiting import Stopwatch

SECONDS = {"dine-in": 0.8, "takeout": 1.0, "delivery": 1.2}
ORDER_FIELDS = {
    "order_number", "customer_name", "customer_type", "order_type", "table_number",
    "delivery_address", "items", "total_amount", "priority",
}  # fmt: skip
STATUS_FIELDS = {
    "order_number", "old_status", "new_status", "changed_by", "timestamp", "estimated_completion",
}  # fmt: skip


@dataclass
class CookedOrder:
    """A ready order: request, answer, rows, messages and the output of its cook."""

    meal: dict[str, Any]
    answer: Answer
    order: dict[str, Any]
    log: list[LogRow]
    messages: list[Copy]
    news: list[Copy]
    cook: Program
    restaurant: Restaurant
    slowness: float

    @property
    def number(self) -> str:
        return str(self.answer.document["order_number"])

    def said_by_cook(self, action: str) -> dict[str, Any]:
        lines = [each for each in self.cook.said(action) if each["order_number"] == self.number]
        assert len(lines) == 1, lines
        return lines[0]


@pytest.fixture(scope="module")
def cooked_orders(_restaurant: Restaurant) -> Iterator[dict[str, CookedOrder]]:
    """One order of each type, cooked by three cooks at the same time."""
    broker = _restaurant.servers.rabbitmq.url
    with (
        AmqpTap(broker, "orders_topic", "#") as orders,
        AmqpTap(broker, "notifications_fanout") as news,
    ):
        cooks = _restaurant.start_cooks(["mario", "luigi", "anna"], cooking_time=1)
        meals = {kind: meal(kind, priority=7, rush=True) for kind in KINDS}
        watch = Stopwatch()
        answers = dict(zip(KINDS, _restaurant.rush(list(meals.values())), strict=True))
        numbers = {kind: answers[kind].document["order_number"] for kind in KINDS}
        _restaurant.ledger.wait_for("ready", list(numbers.values()), 10)
        slowness = watch.slowness()
        for number in numbers.values():
            news.wait_for(number, 3)
        stored = _restaurant.ledger.orders()
        by_name = {cook.name.split("_")[1]: cook for cook in cooks}
        yield {
            kind: CookedOrder(
                meals[kind],
                answers[kind],
                stored[number],
                _restaurant.ledger.log(number),
                orders.of(number),
                news.of(number),
                by_name[stored[number]["processed_by"]],
                _restaurant,
                slowness,
            )
            for kind, number in numbers.items()
        }
    _restaurant.reset()


@pytest.fixture(params=KINDS)
def cooked_order(
    cooked_orders: dict[str, CookedOrder], request: pytest.FixtureRequest
) -> CookedOrder:
    return cooked_orders[request.param]


def test_the_answer_has_number_price_and_estimate(cooked_order: CookedOrder) -> None:
    document = cooked_order.answer.document

    assert cooked_order.answer.status == 201
    assert re.fullmatch(r"ORD_\d{8}_\d{3}", document["order_number"])
    assert document["status"] == "received"
    assert document["total_amount"] == 24.98
    assert document["priority"] == 7
    assert TIMESTAMP.fullmatch(document["estimated_completion"])
    assert cooked_order.answer.headers["location"] == f"/orders/{cooked_order.number}/status"


def test_the_order_and_its_items_are_stored_exactly(cooked_order: CookedOrder) -> None:
    order = cooked_order.order
    items = cooked_order.restaurant.ledger.rows(
        "select name, quantity, price from order_items where order_id = %s order by position",
        order["id"],
    )

    assert order["customer_name"] == cooked_order.meal["customer_name"]
    assert order["customer_type"] == "regular"
    assert order["type"] == cooked_order.meal["order_type"]
    assert order["table_number"] == cooked_order.meal.get("table_number")
    assert order["delivery_address"] == cooked_order.meal.get("delivery_address")
    assert order["total_amount"] == Decimal("24.98")
    assert items == [
        {"name": "Margherita Pizza", "quantity": 1, "price": Decimal("15.99")},
        {"name": "Caesar Salad", "quantity": 1, "price": Decimal("8.99")},
    ]


def test_the_log_has_one_row_for_each_step(cooked_order: CookedOrder) -> None:
    cook = cooked_order.order["processed_by"]

    assert [(row.status, row.changed_by) for row in cooked_order.log] == [
        ("received", "order-service"),
        ("cooking", cook),
        ("ready", cook),
    ]
    assert cooked_order.log[0].notes == "priority 7: manual override"


def test_the_order_is_ready_with_its_cook_and_its_time(cooked_order: CookedOrder) -> None:
    assert cooked_order.order["status"] == "ready"
    assert cooked_order.order["processed_by"] in ("mario", "luigi", "anna")
    assert cooked_order.order["completed_at"] == cooked_order.log[-1].changed_at


def test_each_type_cooks_for_its_own_time(cooked_order: CookedOrder) -> None:
    """As long as configured, and at most as much longer as the machine is busy."""
    _, begun, done = (row.changed_at for row in cooked_order.log)
    wanted = SECONDS[cooked_order.order["type"]]

    assert wanted <= (done - begun).total_seconds() < wanted + 0.19 * cooked_order.slowness


def test_the_order_message_leaves_once_under_the_specified_key(cooked_order: CookedOrder) -> None:
    (message,) = cooked_order.messages

    assert message.routing_key == f"kitchen.{cooked_order.order['type']}.7"
    assert message.properties["delivery_mode"] == 2
    assert message.properties["priority"] == 7


def test_the_order_message_is_the_specified_document(cooked_order: CookedOrder) -> None:
    body = cooked_order.messages[0].body

    assert set(body) >= ORDER_FIELDS
    assert {name: body[name] for name in ORDER_FIELDS} == {
        "order_number": cooked_order.number,
        "customer_name": cooked_order.meal["customer_name"],
        "customer_type": "regular",
        "order_type": cooked_order.order["type"],
        "table_number": cooked_order.meal.get("table_number"),
        "delivery_address": cooked_order.meal.get("delivery_address"),
        "items": cooked_order.meal["items"],
        "total_amount": 24.98,
        "priority": 7,
    }


def test_every_step_is_published_in_order(cooked_order: CookedOrder) -> None:
    cook = cooked_order.order["processed_by"]
    steps = [(each.body["old_status"], each.body["new_status"]) for each in cooked_order.news]

    assert steps == [(None, "received"), ("received", "cooking"), ("cooking", "ready")]
    assert [each.body["changed_by"] for each in cooked_order.news] == ["order-service", cook, cook]
    assert [each.body["sequence"] for each in cooked_order.news] == [1, 2, 3]
    assert len({each.body["event_id"] for each in cooked_order.news}) == 3


def test_a_status_update_is_the_specified_document_with_the_details_of_the_order(
    cooked_order: CookedOrder,
) -> None:
    for each, row in zip(cooked_order.news, cooked_order.log, strict=True):
        assert set(each.body) >= STATUS_FIELDS
        assert each.body["order_number"] == cooked_order.number
        assert TIMESTAMP.fullmatch(each.body["timestamp"])
        assert each.body["timestamp"][:-1] == row.changed_at.isoformat(timespec="milliseconds")[:23]
        assert TIMESTAMP.fullmatch(each.body["estimated_completion"])
        assert each.body["order_type"] == cooked_order.order["type"]
        assert each.body["priority"] == 7
        assert each.body["customer_name"] == cooked_order.meal["customer_name"]


def test_status_and_history_agree_over_http(cooked_order: CookedOrder) -> None:
    status = cooked_order.restaurant.client.get(f"/orders/{cooked_order.number}/status").document
    history = cooked_order.restaurant.client.get(f"/orders/{cooked_order.number}/history").document

    assert status["order_number"] == cooked_order.number
    assert status["current_status"] == "ready"
    assert status["processed_by"] == cooked_order.order["processed_by"]
    assert status["updated_at"] == status["completed_at"] == history[-1]["timestamp"]
    assert [(each["status"], each["changed_by"]) for each in history] == [
        (row.status, row.changed_by) for row in cooked_order.log
    ]


def test_the_logs_follow_the_order(cooked_order: CookedOrder) -> None:
    assert cooked_order.restaurant.service is not None
    received = cooked_order.restaurant.service.said("order_received")
    (line,) = [each for each in received if each["order_number"] == cooked_order.number]
    begun = cooked_order.said_by_cook("order_processing")
    ended = cooked_order.said_by_cook("order_completed")

    assert line["details"]["customer_name"] == cooked_order.meal["customer_name"]
    assert line["details"]["order_type"] == cooked_order.order["type"]
    assert line["details"]["priority"] == 7
    assert line["details"]["total_amount"] == 24.98
    assert line["duration_ms"] >= 0
    assert begun["message"] == "Processing order"
    assert ended["duration_ms"] >= SECONDS[cooked_order.order["type"]] * 1000
