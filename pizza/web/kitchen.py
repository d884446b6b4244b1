"""The kitchen over HTTP: whether it takes orders, pause and resume, and the orders on its board."""

from __future__ import annotations

import dataclasses
from typing import Any

from flask import Response, request
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from pizza.services import staff
from pizza.storage import board
from pizza.web import docs, documents, gate, render
from pizza.web.backend import DATABASE_SECONDS, JSON, Backend
from pizza.web.forms import ByRequest, ReasonRequest, read
from pizza.web.pages import paper
from pizza.web.reads import BOARD_SECONDS
from pizza.web.staff_schemas import (
    BOARD_EXAMPLE,
    KITCHEN_EXAMPLE,
    BoardOrderResponse,
    KitchenResponse,
)

TAG = Tag(name="kitchen", description="Whether the kitchen takes orders")


def register(app: OpenAPI, backend: Backend) -> None:
    """Add the kitchen's views to `app`."""

    ok: dict[str | int, Any] = {200: docs.answer(KitchenResponse, KITCHEN_EXAMPLE)}

    @app.get(
        "/kitchen",
        tags=[TAG],
        summary="Whether the kitchen takes orders, how many at a time, and its staffed stations",
        operation_id="kitchen",
        responses={**ok, **docs.problems(503)},
    )
    def kitchen() -> Response:
        if paper.wanted():
            return paper.page("kitchen.html", here="kitchen")
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            response = _answer(conn, staff.kitchen_state(conn))
        response.vary.add("Accept")
        return response

    @app.get(
        "/kitchen/board",
        tags=[TAG],
        summary="The orders that wait, cook, are ready or on the road, most urgent first",
        operation_id="kitchen_board",
        responses={
            200: docs.answers(BoardOrderResponse, [BOARD_EXAMPLE]),
            304: {"description": "Not Modified", "content": {}},
            **docs.problems(503),
        },
    )
    def kitchen_board() -> Response:
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            found = board.live(conn)
            backend.reads.record(conn, "board_read", "board", seconds=BOARD_SECONDS)
        response = Response(render.dump_lines(map(dataclasses.asdict, found)), content_type=JSON)
        response.add_etag(weak=True)
        response.make_conditional(request.environ)
        return response

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
            return _answer(conn, _pause(conn, form))

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
            return _answer(conn, staff.resume_kitchen(conn, by=form.by, actor=gate.actor()))


def _pause(conn: staff.Connection, form: ReasonRequest) -> staff.KitchenState:
    return staff.pause_kitchen(conn, reason=form.reason, by=form.by, actor=gate.actor())


def _answer(conn: staff.Connection, state: staff.KitchenState) -> Response:
    document = documents.kitchen(state, staff.open_stations(conn))
    return Response(render.dump(document), content_type=JSON)
