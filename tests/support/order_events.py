"""Events and orders for tests of those who listen."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from pizza.database.connection import BoundedConnection
from pizza.domain.order import OrderDraft, OrderItem
from pizza.orders import StatusMessage, orders
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.subscriber.event import Event

NUMBER = "ORD_20241216_001"


def place(conn: BoundedConnection, **fields: Any) -> str:
    """Place an order: its number."""
    draft = OrderDraft("John Doe", (OrderItem("Pizza", 1, Decimal("10.00")),), **fields)
    return orders.place_order(conn, draft).number


def status(sequence: int | None, new: str = "cooking", **fields: Any) -> dict[str, Any]:
    """The body of a notification, as the restaurant sends it."""
    body = {
        "order_number": NUMBER,
        "old_status": "received",
        "new_status": new,
        "changed_by": "chef_mario",
        "timestamp": "2024-12-16T10:32:00Z",
        "estimated_completion": "2024-12-16T10:42:00Z",
        "event_id": str(uuid4()),
        "customer_name": "John Doe",
        **fields,
    }
    return body if sequence is None else body | {"sequence": sequence}


def status_message(number: str = NUMBER, **fields: Any) -> StatusMessage:
    """A change of an order to `received`, without an order type and a priority."""
    change = StatusMessage(
        uuid4(), number, None, "received", "test", datetime.now(UTC), None, 1, None, None, None, {}
    )
    return replace(change, **fields)


def event(body: Any, id: str | None = None, **properties: Any) -> Event:
    """An event with this body."""
    delivery = Delivery("a queue", 1, False, id, 0, {}, json.dumps(body).encode())
    values = {"redelivered": False, "attempt": 1, "reply_to": None, "correlation_id": None}
    return Event(
        id=id, exchange="", routing_key="", headers={}, body=body, delivery=delivery,
        **values | properties,
    )  # fmt: skip
