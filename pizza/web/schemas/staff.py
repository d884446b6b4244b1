"""The documents of pizza.web.schemas.documents as pydantic models, each with an example."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, Field, WithJsonSchema, create_model

from pizza.domain.order import OrderItem
from pizza.kitchen.storage import ActiveOrder, KitchenState
from pizza.reports.storage import Figures
from pizza.web.schemas import documents
from pizza.web.schemas.documents import DocumentType

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
TimeOrNull = Annotated[
    str | None,
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
]
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
# What a type of Python becomes in JSON, where it is not the same.
_JSON_TYPES: Mapping[Any, Any] = {
    datetime: Time,
    datetime | None: TimeOrNull,
    Decimal: float,
    Decimal | None: float | None,
}


def response_model(
    document: DocumentType, name: str, description: str, **types: Any
) -> type[BaseModel]:
    """The model of a document, with the types of its dataclass. types: of members that differ."""
    hints = get_type_hints(document.source)
    for field in document.members.keys() - hints.keys():
        hints[field] = get_type_hints(getattr(document.source, field).fget)["return"]
    members: dict[str, Any] = {
        member: (types.get(member, _JSON_TYPES.get(hints[field], hints[field])), ...)
        for field, member in document.members.items()
    }
    return create_model(name, __doc__=description, **members)


CustomerType = Literal["regular", "vip"]

ItemResponse = response_model(
    DocumentType(OrderItem), "ItemResponse", "One item of an order.", price=float
)
SummaryResponse = response_model(documents.summary, "SummaryResponse", "One order of a list.")
WholeResponse = response_model(
    documents.order,
    "WholeResponse",
    "An order with its items, its customer and its times.",
    customer_type=CustomerType,
    items=list[ItemResponse],  # type: ignore[valid-type]
)
ChangeResponse = response_model(
    documents.change, "ChangeResponse", "One step of an order's history."
)
TrackedResponse = create_model(
    "TrackedResponse",
    __doc__="An order for its customer, with its history.",
    __base__=WholeResponse,
    history=(list[ChangeResponse], ...),  # type: ignore[valid-type]
)
WorkerResponse = response_model(
    documents.worker,
    "WorkerResponse",
    "One worker; its figures are of its share of the newest 5,000 orders.",
    status=Literal["online", "offline"],
)
DishResponse = response_model(documents.dish, "DishResponse", "One dish of the menu.")
CustomerResponse = response_model(
    documents.customer, "CustomerResponse", "What is known of a customer."
)
WaitResponse = response_model(
    documents.priority_wait,
    "WaitResponse",
    "How long orders of one priority waited for a cook.",
)
KitchenResponse = create_model(
    "KitchenResponse",
    __doc__="Whether the kitchen takes orders.",
    __base__=response_model(
        DocumentType(KitchenState),
        "KitchenState",
        "",
        max_concurrent=Annotated[int, Field(description="orders at a time, 0 for no limit")],
        max_concurrent_by=Annotated[
            str | None,
            Field(description="who set it by a command; null for an order service at its start"),
        ],
    ),
    stations=(list[str], ...),
)
FiguresResponse = response_model(
    DocumentType(Figures, computed=["late_share"]),
    "FiguresResponse",
    "Of some orders: how many, how fast, how many late.",
)
ReportResponse = create_model(
    "ReportResponse",
    __doc__="A day's orders (UTC): all of them, and by type and by priority.",
    __base__=FiguresResponse,
    day=(Day, ...),
    by_type=(dict[str, FiguresResponse], ...),  # type: ignore[valid-type]
    by_priority=(dict[str, FiguresResponse], ...),  # type: ignore[valid-type]
)


class BoardItemResponse(BaseModel):
    """One item of an order on the kitchen page."""

    name: str
    quantity: int


BoardOrderResponse = response_model(
    DocumentType(ActiveOrder),
    "BoardOrderResponse",
    "An order on the kitchen page; a cancelled one stays for two minutes.",
    customer_type=CustomerType,
    items=list[BoardItemResponse],
)


MODELS: tuple[type[BaseModel], ...] = (
    SummaryResponse,
    WholeResponse,
    WorkerResponse,
    DishResponse,
    CustomerResponse,
    KitchenResponse,
    BoardOrderResponse,
    ReportResponse,
    WaitResponse,
)

SUMMARY_EXAMPLE = {
    "order_number": "ORD_20241216_001",
    "status": "cooking",
    "stage": "kitchen",
    "customer_name": "John Doe",
    "order_type": "takeout",
    "priority": 1,
    "rush": False,
    "total_amount": 15.99,
    "created_at": "2024-12-16T10:30:00.000Z",
    "updated_at": "2024-12-16T10:32:00.000Z",
    "estimated_completion": "2024-12-16T10:42:00.000Z",
    "completed_at": None,
    "processed_by": "chef_mario",
}
WHOLE_EXAMPLE = {
    **SUMMARY_EXAMPLE,
    "customer_type": "regular",
    "table_number": None,
    "delivery_address": None,
    "items": [{"name": "Margherita Pizza", "quantity": 1, "price": 15.99}],
    "started_at": "2024-12-16T10:32:00.000Z",
    "promised_at": "2024-12-16T10:41:30.000Z",
    "version": 2,
}
WORKERS_EXAMPLE = [
    {
        "worker_name": "chef_mario",
        "type": "cook",
        "status": "online",
        "orders_processed": 5,
        "last_seen": "2024-12-16T10:35:00.000Z",
        "station": "kitchen",
        "order_types": None,
        "tags": ["pasta", "pizza"],
        "measured_orders": 5,
        "avg_cooking_seconds": 10.004,
        "p90_cooking_seconds": 12.003,
        "avg_waiting_seconds": 4.5,
        "p90_waiting_seconds": 9.1,
        "last_order_at": "2024-12-16T10:34:58.000Z",
    }
]
DISH_EXAMPLE = {"name": "Pizza Funghi", "tag": "pizza", "price": 16.5, "sold_out": False}
CUSTOMER_EXAMPLE = {
    "name": "John Doe",
    "vip": True,
    "vip_set_by": "anna",
    "vip_changed_at": "2024-12-16T10:30:00.000Z",
    "repeat": True,
    "orders": 3,
    "cancelled": 1,
    "spent": 48.97,
    "first_order_at": "2024-12-01T18:30:00.000Z",
    "last_order_at": "2024-12-16T10:30:00.000Z",
}
KITCHEN_EXAMPLE = {
    "paused": False,
    "reason": None,
    "changed_by": "setup",
    "changed_at": "2024-12-16T08:00:00.000Z",
    "max_concurrent": 50,
    "max_concurrent_by": None,
    "stations": ["quality", "packaging", "courier"],
}
BOARD_EXAMPLE = {
    "order_number": "ORD_20241216_001",
    "status": "cooking",
    "stage": "kitchen",
    "customer_name": "John Doe",
    "customer_type": "regular",
    "order_type": "takeout",
    "table_number": None,
    "priority": 1,
    "rush": False,
    "created_at": "2024-12-16T10:30:00.000Z",
    "updated_at": "2024-12-16T10:32:00.000Z",
    "started_at": "2024-12-16T10:32:00.000Z",
    "promised_at": "2024-12-16T10:41:30.000Z",
    "estimated_completion": "2024-12-16T10:42:00.000Z",
    "completed_at": None,
    "processed_by": "chef_mario",
    "version": 2,
    "items": [{"name": "Margherita Pizza", "quantity": 1}],
}
_FIGURES = {
    "orders": 3,
    "cancelled": 1,
    "prepared": 2,
    "avg_preparation_seconds": 14.2,
    "p90_preparation_seconds": 18.9,
    "late": 1,
    "late_share": 0.5,
}
REPORT_EXAMPLE = {
    "day": "2024-12-16",
    **_FIGURES,
    "by_type": {"takeout": _FIGURES},
    "by_priority": {"10": _FIGURES},
}
WAIT_EXAMPLE = {
    "priority": 10,
    "orders": 12,
    "begun": 11,
    "avg_wait_seconds": 1.2,
    "p90_wait_seconds": 3.4,
}
