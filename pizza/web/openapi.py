"""Parts of the OpenAPI document beyond the models: bodies, responses, examples."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from pizza.domain.order import MAX_QUANTITY
from pizza.orders.schema import OrderRequest
from pizza.web.http.problems import CONTENT_TYPE
from pizza.web.schemas.orders import OrderResponse, ProblemResponse

_REF = "#/components/schemas/{model}"

_LOCATION = {"Location": {"description": "the status of the order", "schema": {"type": "string"}}}
_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "true: a repetition; the order was placed by the first request of its key",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
ETAG = {
    "ETag": {
        "description": "the order's version and a checksum of this document",
        "schema": {"type": "string"},
    }
}
RETRY_AFTER = {
    "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}
}
_HEADERS_OF = {
    401: {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}},
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}

TAKEOUT_EXAMPLE = {
    "customer_name": "John Doe",
    "order_type": "takeout",
    "items": [
        {"name": "Margherita Pizza", "quantity": 1, "price": 15.99},
        {"name": "Caesar Salad", "quantity": 1, "price": 8.99},
    ],
}
DINE_IN_EXAMPLE = {
    "customer_name": "John",
    "order_type": "dine-in",
    "table_number": 5,
    "items": [{"name": "Steak", "quantity": 1, "price": 25.99}],
}
DELIVERY_EXAMPLE = {
    "customer_name": "VIP Customer",
    "customer_type": "vip",
    "order_type": "delivery",
    "delivery_address": "456 Executive Blvd",
    "items": [{"name": "Premium Steak", "quantity": 1, "price": 45.99}],
    "rush": True,
}
PLACED_EXAMPLE = {
    "order_number": "ORD_20241216_001",
    "status": "received",
    "total_amount": 24.98,
    "priority": 1,
    "order_type": "takeout",
    "customer_name": "John Doe",
    "created_at": "2024-12-16T10:30:00.000Z",
    "estimated_completion": "2024-12-16T10:30:10.000Z",
    "tracking_token": "20241216_001.5f2a90bc77d1e02b4c6a8d9e0f1a2b3c4d5e6f70",
    "tracking_url": "/track/20241216_001.5f2a90bc77d1e02b4c6a8d9e0f1a2b3c4d5e6f70",
}
STATUS_EXAMPLE = {
    "order_number": "ORD_20241216_001",
    "current_status": "cooking",
    "updated_at": "2024-12-16T10:32:00.000Z",
    "estimated_completion": "2024-12-16T10:42:00.000Z",
    "processed_by": "chef_mario",
    "order_type": "takeout",
    "priority": 1,
    "completed_at": None,
    "stage": "kitchen",
    "rush": False,
    "total_amount": 24.98,
}
HISTORY_EXAMPLE = [
    {
        "status": "received",
        "timestamp": "2024-12-16T10:30:00.000Z",
        "changed_by": "order-service",
        "notes": None,
    },
    {
        "status": "cooking",
        "timestamp": "2024-12-16T10:32:00.000Z",
        "changed_by": "chef_mario",
        "notes": None,
    },
]
READY_EXAMPLE = {
    "status": "ready",
    "checks": {
        "database": "ok",
        "schema": "current",
        "kitchen": "ok",
        "broker": "ok",
        "relay": "leading",
    },
}
UNREADY_EXAMPLE = {
    "status": "unavailable",
    "checks": {"database": "unavailable", "broker": "unknown", "relay": "database away"},
}


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


def order_body() -> dict[str, Any]:
    """The request body of POST /orders, for flask-openapi3's `openapi_extensions`."""
    return {
        "requestBody": {
            "required": True,
            "description": "at most 64 kB (65,536 bytes), like every body",
            "content": {
                "application/json": {
                    "schema": {"$ref": _REF.format(model="OrderRequest")},
                    "examples": {
                        "takeout": {"value": TAKEOUT_EXAMPLE},
                        "dine-in": {"value": DINE_IN_EXAMPLE},
                        "delivery": {"value": DELIVERY_EXAMPLE},
                    },
                }
            },
        }
    }


def body(model: type[BaseModel], example: object, *, required: bool = True) -> dict[str, Any]:
    """A JSON request body of this model, for flask-openapi3's `openapi_extensions`."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": required, "content": content}}


def versioned(model: type[BaseModel], example: object) -> dict[str | int, Any]:
    """The response of an order's document, with its ETag."""
    return {200: response(model, example, headers=ETAG)}


def not_modified() -> dict[str | int, Any]:
    """The response to a client whose document is current."""
    return {304: {"description": "Not Modified", "content": {}, "headers": ETAG}}


def response(model: type[BaseModel], example: object, **members: Any) -> dict[str, Any]:
    """A response with a JSON object of this model. members: such as headers and links."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {
        "description": (model.__doc__ or "").split("\n")[0],
        "content": {"application/json": {"schema": schema, "example": example}},
        **members,
    }


def order_placed() -> dict[str, Any]:
    """The response to a valid order, with links to its status and history."""
    number = {"number": "$response.body#/order_number"}
    links = {
        name: {"operationId": name, "parameters": number}
        for name in ("order_status", "order_history")
    }
    return response(OrderResponse, PLACED_EXAMPLE, headers=_LOCATION | _REPLAYED, links=links)


def list_response(model: type[BaseModel], example: object, **members: Any) -> dict[str, Any]:
    """A response with a JSON array of this model. members: such as headers."""
    schema = {"type": "array", "items": {"$ref": _REF.format(model=model.__name__)}}
    return {
        "description": f"A list. {(model.__doc__ or '').split(chr(10))[0]}",
        "content": {"application/json": {"schema": schema, "example": example}},
        **members,
    }


def text_response(content_type: str, example: str) -> dict[str, Any]:
    """A response with plain text."""
    content = {"schema": {"type": "string"}, "example": example}
    return {"description": "A text.", "content": {content_type: content}}


def problems(*statuses: int) -> dict[str | int, Any]:
    """The error responses of an operation; always with 500."""
    return {status: _problem(status) for status in (*statuses, 500)}


def _problem(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {
            CONTENT_TYPE: {
                "schema": {"$ref": _REF.format(model="ProblemResponse")},
                "example": _problem_example(status),
            }
        },
    }
    return described | ({"headers": _HEADERS_OF[status]} if status in _HEADERS_OF else {})


def _problem_example(status: int) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _PROBLEM_EXAMPLES[status],
        **({"errors": [_FIELD_EXAMPLE]} if status == 422 else {}),
    }


def place_order_conflict() -> dict[str, Any]:
    """The 409 of POST /orders, with Retry-After while a request with the same key runs."""
    described = "Conflict: a dish is sold out, or a request with the same key is being answered"
    return {**_problem(409), "description": described, "headers": RETRY_AFTER}


def components(*models: type[BaseModel]) -> dict[str, Any]:
    """The schemas to which the references above point."""
    found: dict[str, Any] = {}
    everything: tuple[type[BaseModel], ...] = (*models, OrderRequest, ProblemResponse)
    for model in everything:
        schema = model.model_json_schema(ref_template=_REF)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found
