"""GET /orders: the orders, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from flask import Response
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from pizza.domain.errors import FieldError, InvalidRequest
from pizza.domain.order import ORDER_TYPES, OrderSummary
from pizza.domain.status import STATUSES
from pizza.services import orders as service
from pizza.web import docs, documents, render
from pizza.web.backend import DATABASE_SECONDS, JSON, Backend
from pizza.web.orders import TAG
from pizza.web.staff_schemas import SUMMARY_EXAMPLE, SummaryResponse

_LIMIT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": service.MOST_LISTED}
_LINK = {
    "Link": {"description": '<…>; rel="next" when there is more', "schema": {"type": "string"}}
}


def one_of(words: Sequence[str]) -> WithJsonSchema:
    """A parameter that is one of these, for the description alone."""
    return WithJsonSchema({"type": "string", "enum": list(words)})


class ListQuery(BaseModel):
    """Which orders. All are strings to the library, so that a bad one is refused in our words."""

    model_config = ConfigDict(extra="allow")

    status: Annotated[str | None, one_of(STATUSES)] = None
    type: Annotated[str | None, one_of(ORDER_TYPES)] = None
    limit: Annotated[str | None, WithJsonSchema(_LIMIT)] = Field(
        None, description=f"how many, {service.LISTED} unless told"
    )
    before: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="number of the last order of the page before, as Link has it"
    )


def register(app: OpenAPI, backend: Backend) -> None:
    """Add the list to `app`."""

    @app.get(
        "/orders",
        tags=[TAG],
        summary="Orders, newest first",
        operation_id="list_orders",
        responses={
            200: docs.answers(SummaryResponse, [SUMMARY_EXAMPLE]) | {"headers": _LINK},
            **docs.problems(422, 503),
        },
    )
    def list_orders(query: ListQuery) -> Response:
        if query.model_extra:
            unknown = [FieldError(name[:100], "is no parameter") for name in query.model_extra]
            raise InvalidRequest(unknown)
        limit = _limit(query.limit)
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            found = service.list_orders(
                conn, status=query.status, order_type=query.type, limit=limit, before=query.before
            )
        response = Response(render.dump_lines(map(documents.summary, found)), content_type=JSON)
        if len(found) == limit:
            response.headers["Link"] = _next(query, limit, found)
        return response


def _limit(text: str | None) -> int:
    if text is None:
        return service.LISTED
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise InvalidRequest(
        [FieldError("limit", f"must be a whole number from 1 to {service.MOST_LISTED}")]
    )


def _next(query: ListQuery, limit: int, found: Sequence[OrderSummary]) -> str:
    asked = {"status": query.status, "type": query.type, "limit": limit, "before": found[-1].number}
    kept = {name: value for name, value in asked.items() if value is not None}
    return f'</orders?{urlencode(kept)}>; rel="next"'
