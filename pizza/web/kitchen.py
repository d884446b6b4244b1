"""The kitchen over HTTP: whether it takes orders, pause and resume."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from pizza.services import staff
from pizza.web import docs, documents, render
from pizza.web.backend import DATABASE_SECONDS, JSON, Backend
from pizza.web.forms import ByRequest, ReasonRequest, read
from pizza.web.staff_schemas import KITCHEN_EXAMPLE, KitchenResponse

TAG = Tag(name="kitchen", description="Whether the kitchen takes orders")


def register(app: OpenAPI, backend: Backend) -> None:
    """Add the kitchen's views to `app`."""

    ok: dict[str | int, Any] = {200: docs.answer(KitchenResponse, KITCHEN_EXAMPLE)}

    @app.get(
        "/kitchen",
        tags=[TAG],
        summary="Whether the kitchen takes orders, and which stations are staffed",
        operation_id="kitchen",
        responses={**ok, **docs.problems(503)},
    )
    def kitchen() -> Response:
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _answer(conn, staff.kitchen_state(conn))

    @app.post(
        "/kitchen/pause",
        tags=[TAG],
        summary="Take no orders for a while: each is answered 503 with Retry-After",
        operation_id="pause_kitchen",
        openapi_extensions=docs.body(
            ReasonRequest, {"reason": "The oven is cold", "by": "anna"}, required=False
        ),
        responses={**ok, **docs.problems(400, 413, 415, 422, 503)},
    )
    def pause_kitchen() -> Response:
        form = read(ReasonRequest, optional=True)
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _answer(conn, staff.pause_kitchen(conn, reason=form.reason, by=form.by))

    @app.post(
        "/kitchen/resume",
        tags=[TAG],
        summary="Take orders again",
        operation_id="resume_kitchen",
        openapi_extensions=docs.body(ByRequest, {"by": "anna"}, required=False),
        responses={**ok, **docs.problems(400, 413, 415, 422, 503)},
    )
    def resume_kitchen() -> Response:
        form = read(ByRequest, optional=True)
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _answer(conn, staff.resume_kitchen(conn, by=form.by))


def _answer(conn: staff.Connection, state: staff.KitchenState) -> Response:
    document = documents.kitchen(state, staff.open_stations(conn))
    return Response(render.dump(document), content_type=JSON)
