"""A connection to a fresh database, and orders to store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.domain.order import OrderDraft, OrderItem
from pizza.domain.priority import AssignedPriority
from pizza.orders import storage as orders

Place = Callable[..., tuple[str, SimpleNamespace | None]]


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="test") as open_connection:
        yield open_connection


@pytest.fixture
def place(conn: BoundedConnection) -> Place:
    """Stores an order; keyword arguments change the draft or the call."""

    def store(on: BoundedConnection = conn, **changes: Any) -> tuple[str, SimpleNamespace | None]:
        new = changes.pop("first", AssignedPriority(1, "standard order"))
        repeat = changes.pop("repeat", AssignedPriority(5, "repeat customer"))
        terms = {
            "required_tags": None,
            "source_id": None,
            "cooking_seconds": 10,
            "queue": "kitchen_takeout_queue",
            "exchange": "orders_topic",
            "changed_by": "order-service",
            "expires_at": datetime.now(UTC) + timedelta(seconds=10),
            "key": None,
            "client": None,
        }
        terms |= {name: changes.pop(name) for name in list(changes) if name in terms}
        draft = {
            "customer_name": "John Doe",
            "items": (
                OrderItem("Pizza", 2, Decimal("15.99")),
                OrderItem("Tea", 1, Decimal("0.02")),
            ),
        }
        priorities = {
            "new": asdict(new),
            "repeat": asdict(repeat),
            "vip": {"priority": 10, "rule": "VIP customer"},
        }
        row = orders.insert_order(on, OrderDraft(**draft | changes), priorities=priorities, **terms)
        verdict = row.pop("verdict")
        return verdict, SimpleNamespace(**row) if verdict == "placed" else None

    return store
