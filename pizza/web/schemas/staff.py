"""The documents of pizza.web.schemas.documents as pydantic models, each with an example."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, WithJsonSchema

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
TimeOrNull = Annotated[
    str | None,
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
]


class ItemResponse(BaseModel):
    """One item of an order."""

    name: str
    quantity: int
    price: float


class SummaryResponse(BaseModel):
    """One order of a list."""

    order_number: str
    status: str
    stage: str | None
    customer_name: str
    order_type: str
    priority: int
    rush: bool
    total_amount: float
    created_at: Time
    updated_at: Time
    estimated_completion: TimeOrNull
    completed_at: TimeOrNull
    processed_by: str | None


class WholeResponse(SummaryResponse):
    """An order with its items, its customer and its times."""

    customer_type: Literal["regular", "vip"]
    table_number: int | None
    delivery_address: str | None
    items: list[ItemResponse]
    started_at: TimeOrNull
    promised_at: TimeOrNull
    version: int


class WorkerResponse(BaseModel):
    """One worker; its figures are of its share of the newest 5,000 orders."""

    worker_name: str
    type: str
    status: Literal["online", "offline"]
    orders_processed: int
    last_seen: Time
    station: str
    order_types: list[str] | None
    tags: list[str] | None
    measured_orders: int
    avg_cooking_seconds: float | None
    p90_cooking_seconds: float | None
    avg_waiting_seconds: float | None
    p90_waiting_seconds: float | None
    last_order_at: TimeOrNull


class DishResponse(BaseModel):
    """One dish of the menu."""

    name: str
    tag: str
    price: float | None
    sold_out: bool


class CustomerResponse(BaseModel):
    """What is known of a customer."""

    name: str
    vip: bool
    vip_set_by: str | None
    vip_changed_at: TimeOrNull
    repeat: bool
    orders: int
    cancelled: int
    spent: float
    first_order_at: TimeOrNull
    last_order_at: TimeOrNull


class KitchenResponse(BaseModel):
    """Whether the kitchen takes orders."""

    paused: bool
    reason: str | None
    changed_by: str
    changed_at: Time
    max_concurrent: int = Field(description="orders at a time, 0 for no limit")
    max_concurrent_by: str | None = Field(
        description="who set it by a command; null for an order service at its start"
    )
    stations: list[str]


class BoardItemResponse(BaseModel):
    """One item of an order on the kitchen page."""

    name: str
    quantity: int


class BoardOrderResponse(BaseModel):
    """An order on the kitchen page; a cancelled one stays for two minutes."""

    order_number: str
    status: str
    stage: str | None
    customer_name: str
    customer_type: Literal["regular", "vip"]
    order_type: str
    table_number: int | None
    priority: int
    rush: bool
    created_at: Time
    updated_at: Time
    started_at: TimeOrNull
    promised_at: TimeOrNull
    estimated_completion: TimeOrNull
    completed_at: TimeOrNull
    processed_by: str | None
    version: int
    items: list[BoardItemResponse]


class FiguresResponse(BaseModel):
    """Of some orders: how many, how fast, how many late."""

    orders: int
    cancelled: int
    prepared: int
    avg_preparation_seconds: float | None
    p90_preparation_seconds: float | None
    late: int
    late_share: float | None


class ReportResponse(FiguresResponse):
    """A day's orders (UTC): all of them, and by type and by priority."""

    day: Annotated[str, Field(json_schema_extra={"format": "date"})]
    by_type: dict[str, FiguresResponse]
    by_priority: dict[str, FiguresResponse]


class WaitResponse(BaseModel):
    """How long orders of one priority waited for a cook."""

    priority: int
    orders: int
    begun: int
    avg_wait_seconds: float | None
    p90_wait_seconds: float | None


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
