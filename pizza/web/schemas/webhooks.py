"""Requests and responses about webhooks as pydantic models, each with an example."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from pizza.domain.webhook_urls import URL_LENGTH
from pizza.domain.webhooks import TYPES
from pizza.web.schemas.requests import StaffRequest, or_null
from pizza.web.schemas.staff import Time, TimeOrNull
from pizza.webhooks.webhooks import DESCRIPTION_LENGTH

_URL = {"type": "string", "maxLength": URL_LENGTH, "pattern": r"^https?://[!-~]+$"}
_TYPES = {"type": "array", "items": {"type": "string", "enum": list(TYPES)}}
_DESCRIPTION = {"type": "string", "maxLength": DESCRIPTION_LENGTH, "pattern": r"^[ -~]*$"}


Url = Annotated[str, WithJsonSchema(_URL)]
OptionalUrl = Annotated[str | None, or_null(_URL)]
Types = Annotated[
    list[str] | None,
    or_null(_TYPES),
    Field(description="which events it receives; null or none for all"),
]
Description = Annotated[str | None, or_null(_DESCRIPTION)]


class WebhookRequest(StaffRequest):
    """Where to deliver, and what."""

    url: Url
    types: Types = None
    description: Description = None


class WebhookChangeRequest(StaffRequest):
    """What to change; what is left out stays."""

    url: OptionalUrl = None
    types: Types = None
    description: Description = None
    enabled: bool | None = None


class WebhookResponse(BaseModel):
    """A webhook, without its secret."""

    id: int
    url: str
    description: str | None
    types: list[str]
    enabled: bool
    disabled_at: TimeOrNull
    disabled_reason: str | None
    failing_since: TimeOrNull
    rests_until: TimeOrNull
    former_secret_until: TimeOrNull
    created_at: Time


class WebhookSecretResponse(WebhookResponse):
    """A webhook with its secret, which no other response has."""

    secret: str


class DeliveryResponse(BaseModel):
    """What became of one event for one webhook."""

    id: str
    webhook_id: int
    event_id: str
    type: str
    order_number: str | None
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    created_at: Time
    last_attempt_at: TimeOrNull
    next_attempt_at: TimeOrNull
    answer: int | None
    problem: str | None
    duration_seconds: float | None
    payload: str


MODELS: tuple[type[BaseModel], ...] = (
    WebhookRequest,
    WebhookChangeRequest,
    WebhookResponse,
    WebhookSecretResponse,
    DeliveryResponse,
)

REQUEST_EXAMPLE = {
    "url": "https://hooks.example/pizza",
    "types": ["order.ready", "order.delivered"],
    "description": "The screen at the entrance",
}
CHANGE_EXAMPLE = {"enabled": True}
WEBHOOK_EXAMPLE = {
    "id": 1,
    **REQUEST_EXAMPLE,
    "enabled": True,
    "disabled_at": None,
    "disabled_reason": None,
    "failing_since": None,
    "rests_until": None,
    "former_secret_until": None,
    "created_at": "2024-12-16T08:00:00.000Z",
}
SECRET_EXAMPLE = {
    **WEBHOOK_EXAMPLE,
    "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}
DELIVERY_EXAMPLE = {
    "id": "0b7a52f4-7f19-5d0a-9a4e-3c2f2f4c1d11",
    "webhook_id": 1,
    "event_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "type": "order.ready",
    "order_number": "ORD_20241216_001",
    "state": "waiting",
    "attempts": 1,
    "created_at": "2024-12-16T10:42:00.000Z",
    "last_attempt_at": "2024-12-16T10:42:00.100Z",
    "next_attempt_at": "2024-12-16T10:42:05.000Z",
    "answer": 500,
    "problem": "answered 500: out of dough",
    "duration_seconds": 0.12,
    "payload": '{"type":"order.ready","timestamp":"2024-12-16T10:42:00.000Z","data":{}}',
}
