"""Parts of the OpenAPI document beyond the models: bodies, responses, security."""

from __future__ import annotations

import copy
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from pizza.auth.authenticator import Authenticator
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.order import MAX_QUANTITY
from pizza.orders.schema import OrderRequest
from pizza.web.dependencies import JSON
from pizza.web.http.problems import CONTENT_TYPE
from pizza.web.schemas import examples
from pizza.web.schemas.examples import EXAMPLES
from pizza.web.schemas.responses import OrderResponse, ProblemResponse
from pizza.web.security.permissions import REQUIRED_ROLE, Permission, permission_of

Responses = dict[str | int, Any]

_REF = "#/components/schemas/{model}"


def header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A header of a response."""
    return {name: {"description": description, "schema": {"type": "string", **schema}}}


_LOCATION = header("Location", "the status of the order")
_REPLAYED = header(
    "Idempotent-Replayed",
    "true: a repetition; the order was placed by the first request of its key",
    enum=["true"],
)
ETAG = header("ETag", "the order's version and a checksum of this document")
RETRY_AFTER = header("Retry-After", "seconds to wait", type="integer", minimum=1)
_HEADERS_OF = {
    401: header("WWW-Authenticate", "Bearer"),
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}

_KEY: dict[str, list[str]] = {"staffKey": []}
_TOKEN: dict[str, list[str]] = {"trackingToken": []}
_ANONYMOUS: dict[str, list[str]] = {}

SCHEMES: dict[str, Any] = {
    "staffKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "a staff key; required once the restaurant has one. The roles, "
        "each with the rights of those before it: monitor, station, staff, manager",
    },
    "trackingToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "tracking_token in the response to an order; valid for that order only",
    },
}

# The credentials that an operation accepts, where it is not a key alone.
_SCHEMES_FOR: dict[Permission, list[dict[str, list[str]]]] = {
    Permission.PUBLIC: [],
    Permission.PARTIAL: [_ANONYMOUS, _KEY, _TOKEN],
    Permission.OWNER: [_KEY, _TOKEN],
}
# The statuses of refusals, where they are not 401, 403 and 429.
_REFUSALS = {Permission.PUBLIC: (429,), Permission.PARTIAL: (401, 429)}

_PROBLEM_EXAMPLES = {
    400: "The body is not JSON.",
    401: "This needs a key.",
    403: "This key is not for that.",
    404: "There is no order ORD_20241216_999.",
    409: "The order is delivered.",
    412: "The order has changed since.",
    413: "The body is too large.",
    415: "The body has to be application/json.",
    422: "The request is not valid.",
    429: "Too many requests; try again soon.",
    500: "Something went wrong on our side; the order service has logged it.",
    503: "The order service cannot reach its database; try again soon.",
}
_FIELD_EXAMPLE = {"field": "items[0].quantity", "message": f"must be from 1 to {MAX_QUANTITY}"}


def body(
    model: type[BaseModel], example: object = None, *, required: bool = True
) -> dict[str, Any]:
    """A JSON request body of this model, for flask-openapi3's `openapi_extensions`."""
    content = _json(_ref(model), example or EXAMPLES[model])
    return {"requestBody": {"required": required, "content": content}}


def order_body() -> dict[str, Any]:
    """The request body of POST /orders."""
    named = {name: {"value": example} for name, example in examples.ORDERS.items()}
    return {
        "requestBody": {
            "required": True,
            "description": "at most 64 kB (65,536 bytes), like every body",
            "content": {JSON: {"schema": _ref(OrderRequest), "examples": named}},
        }
    }


def responses(
    model: type[BaseModel], *errors: int, status: int = 200, example: object = None, **members: Any
) -> Responses:
    """The responses of an operation: a JSON object of this model, or a problem.

    errors: the statuses of problems, besides 500. members: of the first, such as headers.
    """
    return {
        status: {
            "description": _description(model),
            "content": _json(_ref(model), example or EXAMPLES[model]),
            **members,
        },
        **problems(*errors),
    }


def list_responses(
    model: type[BaseModel], *errors: int, example: object = None, **members: Any
) -> Responses:
    """The responses of an operation: a JSON array of this model, or a problem; as `responses`."""
    schema = {"type": "array", "items": _ref(model)}
    return {
        200: {
            "description": f"A list. {_description(model)}",
            "content": _json(schema, example or [EXAMPLES[model]]),
            **members,
        },
        **problems(*errors),
    }


def versioned(described: Responses) -> Responses:
    """The same responses, for a client that may have the document: with ETag and 304."""
    not_modified = {"description": "Not Modified", "content": {}, "headers": ETAG}
    return {**described, 200: described[200] | {"headers": ETAG}, 304: not_modified}


def no_content(description: str, *errors: int) -> Responses:
    """The responses of an operation: 204 without a body, or a problem; as `responses`."""
    return {204: {"description": description, "content": {}}, **problems(*errors)}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _json(schema: object, example: object) -> dict[str, Any]:
    return {JSON: {"schema": schema, "example": example}}


def _description(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").split("\n")[0]


def order_placed() -> Responses:
    """The responses to POST /orders: with links to status and history, and two meanings of 409."""
    number = {"number": "$response.body#/order_number"}
    links = {
        name: {"operationId": name, "parameters": number}
        for name in ("order_status", "order_history")
    }
    headers = _LOCATION | _REPLAYED
    errors = (400, 401, 403, 409, 413, 415, 422, 429, 503)
    found = responses(OrderResponse, *errors, status=201, headers=headers, links=links)
    found[409] |= {
        "description": "Conflict: a dish is sold out, or a request with the same key is being "
        "answered",
        "headers": RETRY_AFTER,
    }
    return found


def text_response(content_type: str, example: str) -> dict[str, Any]:
    """A response with plain text."""
    content = {"schema": {"type": "string"}, "example": example}
    return {"description": "A text.", "content": {content_type: content}}


def problems(*statuses: int) -> Responses:
    """The error responses of an operation; always with 500."""
    return {status: _problem(status) for status in (*statuses, 500)}


def _problem(status: int) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    example: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": _PROBLEM_EXAMPLES[status],
    }
    if status == 422:
        example["errors"] = [_FIELD_EXAMPLE]
    content = {CONTENT_TYPE: {"schema": _ref(ProblemResponse), "example": example}}
    headers = {"headers": _HEADERS_OF[status]} if status in _HEADERS_OF else {}
    return {"description": title, "content": content, **headers}


def components() -> dict[str, Any]:
    """The schemas to which the references above point."""
    found: dict[str, Any] = {}
    models: tuple[type[BaseModel], ...] = (*EXAMPLES, OrderRequest, ProblemResponse)
    for model in models:
        schema = model.model_json_schema(ref_template=_REF)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found


def add_security(document: dict[str, Any], authenticator: Authenticator) -> dict[str, Any]:
    """Return a copy of the document with the security requirements of each operation."""
    try:
        required = authenticator.auth_required()
    except DatabaseUnavailable:
        required = True
    found = copy.deepcopy(document)
    for item in found["paths"].values():
        for operation in item.values():
            permission = permission_of(operation["operationId"])
            schemes = _SCHEMES_FOR.get(permission, [_KEY])
            if operation["operationId"] == "place_order":
                schemes = [_ANONYMOUS, _KEY]
            if schemes and not required:
                schemes = [_ANONYMOUS, *(each for each in schemes if each)]
            operation["security"] = schemes
            if permission in REQUIRED_ROLE:
                role = operation["x-role"] = REQUIRED_ROLE[permission]
                sentence = f"A key needs at least the role {role}."
                before = operation.get("description")
                operation["description"] = f"{before} {sentence}" if before else sentence
            refusals = _REFUSALS.get(permission, (401, 403, 429))
            for status, answer in problems(*refusals).items():
                operation["responses"].setdefault(str(status), answer)
    return found
