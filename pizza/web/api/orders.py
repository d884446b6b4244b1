"""Orders over HTTP: place one (see place_order.py), read it, its status and its history."""

from __future__ import annotations

from flask import Response, request
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, Field

from pizza.orders import orders as service
from pizza.web import openapi
from pizza.web.api.place_order import PATH, FastPath, PlaceOrder
from pizza.web.dependencies import Dependencies
from pizza.web.http import etags
from pizza.web.http.idempotency import IdempotencyKeyHeader
from pizza.web.schemas import documents, serializers
from pizza.web.schemas.orders import StatusResponse
from pizza.web.schemas.staff import WHOLE_EXAMPLE, ChangeResponse, WholeResponse
from pizza.web.security import authorization

TAG = Tag(name="orders", description="Place orders and follow them")


class OrderPath(BaseModel):
    """Which order."""

    number: str = Field(description="such as ORD_20241216_001")


def register(app: OpenAPI, dependencies: Dependencies, endpoint: PlaceOrder) -> None:
    """Add the order views to `app`."""
    app.wsgi_app = FastPath(endpoint, app.wsgi_app)  # type: ignore[method-assign]

    @app.post(
        PATH,
        tags=[TAG],
        summary="Place an order",
        openapi_extensions=openapi.order_body(),
        responses={
            201: openapi.order_placed(),
            **openapi.problems(400, 401, 403, 409, 413, 415, 422, 429, 503),
            409: openapi.place_order_conflict(),
        },
    )
    def place_order(header: IdempotencyKeyHeader) -> Response:
        status, headers, body = endpoint.respond(request.environ)
        return Response(body, status, headers)

    @app.get(
        "/orders/<number>",
        tags=[TAG],
        summary="An order with its items, its customer and its times",
        responses={
            **openapi.versioned(WholeResponse, WHOLE_EXAMPLE),
            **openapi.not_modified(),
            **openapi.problems(400, 404, 503),
        },
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
        responses={
            **openapi.versioned(StatusResponse, openapi.STATUS_EXAMPLE),
            **openapi.not_modified(),
            **openapi.problems(400, 404, 503),
        },
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
        responses={
            200: openapi.list_response(
                ChangeResponse, openapi.HISTORY_EXAMPLE, headers=openapi.ETAG
            ),
            **openapi.not_modified(),
            **openapi.problems(400, 404, 503),
        },
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
