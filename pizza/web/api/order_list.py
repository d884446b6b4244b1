"""GET /orders: the orders, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from flask import Response
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from pizza.domain.order import ORDER_TYPES
from pizza.domain.status import STATUSES
from pizza.orders import orders as service
from pizza.web import openapi
from pizza.web.api.orders import TAG
from pizza.web.dependencies import Dependencies
from pizza.web.http import pagination
from pizza.web.http.responses import list_response
from pizza.web.schemas import documents
from pizza.web.schemas.staff import SUMMARY_EXAMPLE, SummaryResponse

_LIMIT = pagination.limit_schema(service.MOST_LISTED)


def one_of(values: Sequence[str]) -> WithJsonSchema:
    """The schema of a parameter with these values, for the OpenAPI document only."""
    return WithJsonSchema({"type": "string", "enum": list(values)})


class ListQuery(BaseModel):
    """Which orders. All parameters are strings, so that errors have our texts."""

    model_config = ConfigDict(extra="allow")

    status: Annotated[str | None, one_of(STATUSES)] = None
    type: Annotated[str | None, one_of(ORDER_TYPES)] = None
    limit: Annotated[str | None, WithJsonSchema(_LIMIT)] = Field(
        None, description=f"how many, {service.LISTED} by default"
    )
    before: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="number of the last order of the previous page, as in Link"
    )


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the list to `app`."""

    @app.get(
        "/orders",
        tags=[TAG],
        summary="Orders, newest first",
        responses={
            200: openapi.list_response(SummaryResponse, [SUMMARY_EXAMPLE])
            | {"headers": pagination.LINK},
            **openapi.problems(422, 503),
        },
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
            link = pagination.next_link("/orders", {**page, "before": found[-1].number})
            response.headers["Link"] = link
        return response
