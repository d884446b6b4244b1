"""Orders over HTTP: place one (see place_order.py), list them, read one, its status and history.

A customer reads an order by its tracking token, as JSON or as a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from flask import Response, request
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from pizza.domain.order import ORDER_TYPES
from pizza.domain.status import STATUSES
from pizza.orders import orders as service
from pizza.web import openapi
from pizza.web.api.place_order import PATH, PlaceOrder, fast_path
from pizza.web.dependencies import Dependencies
from pizza.web.http import etags, pagination
from pizza.web.http.idempotency import IdempotencyKeyHeader
from pizza.web.http.responses import list_response
from pizza.web.pages import html, track
from pizza.web.schemas import documents, examples, serializers
from pizza.web.schemas.responses import (
    ChangeResponse,
    StatusResponse,
    SummaryResponse,
    TrackedResponse,
    WholeResponse,
)
from pizza.web.security import authorization
from pizza.web.security.credentials import Credentials

TAG = Tag(name="orders", description="Place orders and follow them")
_LIMIT = pagination.limit_schema(service.MOST_LISTED)


def _one_of(values: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(values)})


class OrderPath(BaseModel):
    """Which order."""

    number: str = Field(description="such as ORD_20241216_001")


class TokenPath(BaseModel):
    """The token of an order."""

    token: str = Field(description="tracking_token in the response to POST /orders")


class OrdersQuery(BaseModel):
    """Which orders. All parameters are strings, so that errors have our texts."""

    model_config = ConfigDict(extra="allow")

    status: Annotated[str | None, _one_of(STATUSES)] = None
    type: Annotated[str | None, _one_of(ORDER_TYPES)] = None


class ListQuery(OrdersQuery):
    """Which orders, and how many."""

    limit: Annotated[str | None, WithJsonSchema(_LIMIT)] = Field(
        None, description=f"how many, {service.LISTED} by default"
    )
    before: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="number of the last order of the previous page, as in Link"
    )


def register(
    app: OpenAPI, dependencies: Dependencies, endpoint: PlaceOrder, credentials: Credentials
) -> None:
    """Add the order views to `app`."""
    app.wsgi_app = fast_path(endpoint, app.wsgi_app)  # type: ignore[method-assign, assignment]

    @app.post(
        PATH,
        tags=[TAG],
        summary="Place an order",
        openapi_extensions=openapi.order_body(),
        responses=openapi.order_placed(),
    )
    def place_order(header: IdempotencyKeyHeader) -> Response:
        status, headers, body = endpoint.respond(request.environ)
        return Response(body, status, headers)

    @app.get(
        PATH,
        tags=[TAG],
        summary="Orders, newest first",
        responses=openapi.list_responses(SummaryResponse, 422, 503, headers=pagination.LINK),
    )
    def list_orders(query: ListQuery) -> Response:
        pagination.reject_unknown(query)
        limit = pagination.parse_limit(query.limit, service.LISTED, service.MOST_LISTED)
        with dependencies.connection() as conn:
            found = service.list_orders(
                conn, status=query.status, order_type=query.type, limit=limit, before=query.before
            )
            dependencies.read_audit.record(conn, "orders_read", "order")
        response = list_response(map(documents.summary, found))
        if len(found) == limit:
            page = {"status": query.status, "type": query.type, "limit": limit}
            link = pagination.next_link(PATH, {**page, "before": found[-1].number})
            response.headers["Link"] = link
        return response

    @app.get(
        "/orders/<number>",
        tags=[TAG],
        summary="An order with its items, its customer and its times",
        responses=openapi.versioned(openapi.responses(WholeResponse, 400, 404, 503)),
    )
    def get_order(path: OrderPath, header: etags.IfNoneMatch) -> Response:
        with dependencies.connection() as conn:
            found = service.get_order(conn, path.number)
            dependencies.read_audit.record(conn, "order_read", "order", found.number)
        return etags.versioned_response(serializers.dump(documents.order(found)), found.version)

    @app.get(
        "/orders/<number>/status",
        tags=[TAG],
        summary="The status of an order",
        responses=openapi.versioned(openapi.responses(StatusResponse, 400, 404, 503)),
    )
    def order_status(path: OrderPath, header: etags.IfNoneMatch) -> Response:
        number = service.validate_number(path.number)
        with dependencies.connection() as conn:
            found = service.order_status(conn, number)
        include_private = authorization.current_principal().may_see_order(number)
        return etags.versioned_response(
            serializers.status(found, include_private=include_private), found.version
        )

    @app.get(
        "/orders/<number>/history",
        tags=[TAG],
        summary="Every status an order has had, oldest first",
        responses=openapi.versioned(
            openapi.list_responses(ChangeResponse, 400, 404, 503, example=examples.HISTORY)
        ),
    )
    def order_history(path: OrderPath, header: etags.IfNoneMatch) -> Response:
        number = service.validate_number(path.number)
        with dependencies.connection() as conn:
            changes = service.order_history(conn, number)
        include_private = authorization.current_principal().may_see_order(number)
        # The history has one entry for each version of the order.
        return etags.versioned_response(
            serializers.history(changes, include_private=include_private), len(changes)
        )

    @app.get(
        "/track/<token>",
        tags=[TAG],
        summary="An order, with its history, for its customer: the address is the key",
        responses=openapi.versioned(openapi.responses(TrackedResponse, 400, 404, 503)),
    )
    def tracked_order(path: TokenPath, header: etags.IfNoneMatch) -> Response:
        number = track.order_of_token(credentials, path.token)
        with dependencies.connection() as conn:
            found = service.get_order(conn, number)
            steps = service.order_history(conn, number)
        if html.prefers_html():
            return track.tracking_page(found, steps, path.token)
        document = {**documents.order(found), "history": [documents.change(step) for step in steps]}
        response = etags.versioned_response(serializers.dump(document), found.version)
        # The URL contains the token, so it must not be sent to another site.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.vary.add("Accept")
        return response
