"""Responses as pydantic models, for the OpenAPI document only.

Most are those of pizza.web.schemas.documents: their members have the types of a dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, get_type_hints
from uuid import UUID

from pydantic import BaseModel, Field, WithJsonSchema, create_model

from pizza.domain.order import OrderItem
from pizza.kitchen.storage import ActiveOrder
from pizza.web.schemas import documents
from pizza.web.schemas.documents import DocumentType

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
TimeOrNull = Annotated[
    str | None,
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
]
# What a type of Python becomes in JSON, where it is not the same.
_JSON_TYPES: Mapping[Any, Any] = {
    datetime: Time,
    datetime | None: TimeOrNull,
    Decimal: float,
    Decimal | None: float | None,
    UUID: str,
}


def response_model(
    document: DocumentType, name: str, description: str, **types: Any
) -> type[BaseModel]:
    """The model of a document, with the types of its dataclass.

    types: of members that differ, and of further members.
    """
    hints = get_type_hints(document.source)
    for field in document.members.keys() - hints.keys():
        hints[field] = get_type_hints(getattr(document.source, field).fget)["return"]
    members = {
        member: _JSON_TYPES.get(hints[field], hints[field])
        for field, member in document.members.items()
    }
    fields: dict[str, Any] = {member: (type, ...) for member, type in (members | types).items()}
    return create_model(name, __doc__=description, **fields)


CustomerType = Literal["regular", "vip"]

ItemResponse = response_model(
    DocumentType(OrderItem), "ItemResponse", "One item of an order.", price=float
)
SummaryResponse = response_model(documents.summary, "SummaryResponse", "One order of a list.")
ChangeResponse = response_model(
    documents.change, "ChangeResponse", "One step of an order's history."
)
WholeResponse = response_model(
    documents.order,
    "WholeResponse",
    "An order with its items, its customer and its times.",
    customer_type=CustomerType,
    items=list[ItemResponse],  # type: ignore[valid-type]
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
KitchenResponse = response_model(
    documents.kitchen_state,
    "KitchenResponse",
    "Whether the kitchen takes orders.",
    max_concurrent=Annotated[int, Field(description="orders at a time, 0 for no limit")],
    max_concurrent_by=Annotated[
        str | None,
        Field(description="who set it by a command; null for an order service at its start"),
    ],
    stations=list[str],
)
FiguresResponse = response_model(
    documents.figures,
    "FiguresResponse",
    "Of some orders: how many, how fast, how many late.",
)
ReportResponse = response_model(
    documents.figures,
    "ReportResponse",
    "A day's orders (UTC): all of them, and by type and by priority.",
    day=Annotated[str, Field(json_schema_extra={"format": "date"})],
    by_type=dict[str, FiguresResponse],  # type: ignore[valid-type]
    by_priority=dict[str, FiguresResponse],  # type: ignore[valid-type]
)
WebhookResponse = response_model(
    documents.webhook_row, "WebhookResponse", "A webhook, without its secret.", types=list[str]
)
WebhookSecretResponse = response_model(
    documents.webhook_row,
    "WebhookSecretResponse",
    "A webhook with its secret, which no other response has.",
    types=list[str],
    secret=str,
)
DeliveryResponse = response_model(
    documents.delivery,
    "DeliveryResponse",
    "What became of one event for one webhook.",
    state=Literal["waiting", "delivered", "failed"],
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


class OrderResponse(BaseModel):
    """The order as it was accepted."""

    order_number: str
    status: str
    total_amount: float
    priority: int
    order_type: str
    customer_name: str
    created_at: Time
    estimated_completion: str | None = Field(json_schema_extra={"format": "date-time"})
    tracking_token: str
    tracking_url: str


class StatusResponse(BaseModel):
    """The status of an order.

    Amount, priority and rush only for its customer and staff; for others processed_by is a role.
    """

    order_number: str
    current_status: str
    updated_at: Time
    estimated_completion: str | None
    processed_by: str | None
    order_type: str
    completed_at: str | None
    stage: str | None
    priority: int = 0
    rush: bool = False
    total_amount: float = 0


class HealthResponse(BaseModel):
    """Whether the order service works, and the state of what it depends on."""

    status: str
    checks: dict[str, str] = {}


class FieldProblem(BaseModel):
    """One bad field of a request."""

    field: str
    message: str


class ProblemResponse(BaseModel):
    """An error, as RFC 9457 describes it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
