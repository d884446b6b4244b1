"""Responses about orders as pydantic models, for the OpenAPI document only.

Requests are in pizza.orders.schema and pizza.web.schemas.requests, the responses to staff in
pizza.web.schemas.staff.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class OrderResponse(BaseModel):
    """The order as it was accepted."""

    order_number: str
    status: str
    total_amount: float
    priority: int
    order_type: str
    customer_name: str
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    estimated_completion: str | None = Field(json_schema_extra={"format": "date-time"})
    tracking_token: str
    tracking_url: str


class StatusResponse(BaseModel):
    """The status of an order.

    Amount, priority and rush only for its customer and staff; for others processed_by is a role.
    """

    order_number: str
    current_status: str
    updated_at: str = Field(json_schema_extra={"format": "date-time"})
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
