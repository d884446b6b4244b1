"""A connection to a fresh database, and orders to store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.domain.order import OrderDraft, OrderItem, PlacedOrder
from pizza.domain.priority import AssignedPriority
from pizza.orders import storage as orders

Place = Callable[..., tuple[str, PlacedOrder | None]]


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="test") as open_connection:
        yield open_connection


@pytest.fixture
def place(conn: BoundedConnection) -> Place:
    """Stores an order; keyword arguments change the draft or the call."""

    def store(on: BoundedConnection = conn, **changes: Any) -> tuple[str, PlacedOrder | None]:
        call = {
            "first": AssignedPriority(1, "standard order"),
            "repeat": AssignedPriority(5, "repeat customer"),
            "vip": AssignedPriority(10, "VIP customer"),
            "needs": None,
            "source": None,
            "cooking": timedelta(seconds=10),
            "queue": "kitchen_takeout_queue",
            "exchange": "orders_topic",
            "changed_by": "order-service",
            "deadline": datetime.now(UTC) + timedelta(seconds=10),
            "key": None,
            "client": None,
        }
        call |= {name: changes.pop(name) for name in list(changes) if name in call}
        draft = {
            "customer_name": "John Doe",
            "items": (
                OrderItem("Pizza", 2, Decimal("15.99")),
                OrderItem("Tea", 1, Decimal("0.02")),
            ),
        }
        return orders.place(on, OrderDraft(**draft | changes), **call)

    return store
