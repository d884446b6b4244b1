"""Requests of staff as pydantic models, and how to parse them.

Pydantic checks fields and types, the domain checks texts. The request of an order is in
pizza.orders.schema.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import islice
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from pizza.domain import actor
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.domain.menu import TAG_LENGTH
from pizza.domain.names import NAME_LENGTH
from pizza.domain.order import MAX_PRIORITY, MIN_PRIORITY
from pizza.domain.webhooks import TYPES, URL_LENGTH
from pizza.orders.schema import MAX_UNKNOWN, MESSAGES, Price, nullable
from pizza.web.http import request_body
from pizza.webhooks.webhooks import DESCRIPTION_LENGTH

# One printable line; the domain checks the rest.
_SINGLE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"


def _text_schema(max_length: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": max_length, "pattern": _SINGLE_LINE}


Reason = Annotated[str, WithJsonSchema(_text_schema(actor.REASON_LENGTH))]
OptionalReason = Annotated[str | None, nullable(_text_schema(actor.REASON_LENGTH))]
By = Annotated[
    str | None,
    nullable(_text_schema(actor.SIGNATURE_LENGTH)),
    Field(description="who does it, for the log"),
]
_PRIORITY = {"type": "integer", "minimum": MIN_PRIORITY, "maximum": MAX_PRIORITY}


class StaffRequest(BaseModel):
    """A request of staff; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ByRequest(StaffRequest):
    """Who does it; optional."""

    by: By = None


class ReasonRequest(ByRequest):
    """Why, and who does it; both optional."""

    reason: OptionalReason = None


class SendBackRequest(ByRequest):
    """Why an order has to be cooked again."""

    reason: Reason


class PriorityRequest(ByRequest):
    """Another priority for an order, and why."""

    priority: Annotated[int, WithJsonSchema(_PRIORITY)]
    reason: Reason


class VipRequest(ByRequest):
    """Whether a customer is a VIP."""

    vip: bool


class DishRequest(StaffRequest):
    """A dish for the menu; one of the same name is changed."""

    name: Annotated[str, WithJsonSchema(_text_schema(NAME_LENGTH))]
    tag: Annotated[
        str,
        WithJsonSchema(
            {"type": "string", "pattern": r"^[a-z][a-z0-9-]*$", "maxLength": TAG_LENGTH}
        ),
        Field(description="what a cook must be good at, such as pizza"),
    ]
    price: Annotated[Price | None, nullable({"type": "number", "minimum": 0})] = None


_URL = {"type": "string", "maxLength": URL_LENGTH, "pattern": r"^https?://[!-~]+$"}
_TYPES = {"type": "array", "items": {"type": "string", "enum": list(TYPES)}}
_DESCRIPTION = {"type": "string", "maxLength": DESCRIPTION_LENGTH, "pattern": r"^[ -~]*$"}

Url = Annotated[str, WithJsonSchema(_URL)]
OptionalUrl = Annotated[str | None, nullable(_URL)]
Types = Annotated[
    list[str] | None,
    nullable(_TYPES),
    Field(description="which events it receives; null or none for all"),
]
Description = Annotated[str | None, nullable(_DESCRIPTION)]


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


RequestModel = TypeVar("RequestModel", bound=StaffRequest)

_MESSAGES = MESSAGES | {"extra_forbidden": "is not a field of this request"}


def parse_request(model: type[RequestModel], *, optional: bool = False) -> RequestModel:
    """Parse the body of the current request. optional: an empty body is allowed.

    Raises Problem for a body that is not JSON, InvalidRequest with an entry for each bad field.
    """
    document = request_body.read_json(request.environ, optional=optional)
    try:
        return model.model_validate(_limit_unknown_fields(document, model.model_fields))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidRequest(
            [
                FieldError(
                    ".".join(map(str, each["loc"]))[:NAME_LENGTH],
                    _MESSAGES.get(each["type"], each["msg"]),
                )
                for each in found
            ]
        ) from None


def _limit_unknown_fields(document: Any, names: Container[str]) -> Any:
    """The document with at most MAX_UNKNOWN of its unknown fields; more add nothing."""
    if not isinstance(document, dict) or len(document) <= MAX_UNKNOWN:
        return document
    unknown = islice((name for name in document if name not in names), MAX_UNKNOWN)
    kept = {name for name in document if name in names}.union(unknown)
    return {name: value for name, value in document.items() if name in kept}
