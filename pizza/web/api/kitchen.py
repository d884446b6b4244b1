"""The kitchen over HTTP: its state, pause and resume, and its active orders."""

from __future__ import annotations

import dataclasses

from flask import Response, request
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from pizza.database.connection import Connection
from pizza.kitchen import control, storage
from pizza.web import openapi
from pizza.web.dependencies import Dependencies
from pizza.web.http.responses import json_response, list_response
from pizza.web.pages import html
from pizza.web.schemas import documents
from pizza.web.schemas.requests import ByRequest, ReasonRequest, parse_request
from pizza.web.schemas.responses import BoardOrderResponse, KitchenResponse
from pizza.web.security.authorization import current_actor
from pizza.web.security.read_audit import BOARD_SECONDS

TAG = Tag(name="kitchen", description="Whether the kitchen takes orders")


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the kitchen's views to `app`."""

    @app.get(
        "/kitchen",
        tags=[TAG],
        summary="Whether the kitchen takes orders, how many at a time, and its staffed stations",
        responses=openapi.responses(KitchenResponse, 503),
    )
    def kitchen() -> Response:
        if html.prefers_html():
            return html.render_page("kitchen.html", here="kitchen")
        with dependencies.connection() as conn:
            response = _answer(conn, storage.get_state(conn))
        response.vary.add("Accept")
        return response

    @app.get(
        "/kitchen/board",
        tags=[TAG],
        summary="The orders that wait, cook, are ready or on the road, most urgent first",
        responses={
            **openapi.list_responses(BoardOrderResponse, 503),
            304: {"description": "Not Modified", "content": {}},
        },
    )
    def kitchen_board() -> Response:
        with dependencies.connection() as conn:
            found = storage.list_active_orders(conn)
            dependencies.read_audit.record(conn, "board_read", "board", seconds=BOARD_SECONDS)
        response = list_response(map(dataclasses.asdict, found))
        response.add_etag(weak=True)
        response.make_conditional(request.environ)
        return response

    @app.post(
        "/kitchen/pause",
        tags=[TAG],
        summary="Take no orders for a while: each is answered 503 with Retry-After",
        openapi_extensions=openapi.body(
            ReasonRequest, {"reason": "The oven is cold", "by": "anna"}, required=False
        ),
        responses=openapi.responses(KitchenResponse, 400, 413, 415, 422, 503),
    )
    def pause_kitchen() -> Response:
        form = parse_request(ReasonRequest, optional=True)
        with dependencies.connection() as conn:
            return _answer(
                conn,
                control.pause_kitchen(conn, reason=form.reason, by=form.by, actor=current_actor()),
            )

    @app.post(
        "/kitchen/resume",
        tags=[TAG],
        summary="Take orders again",
        openapi_extensions=openapi.body(ByRequest, required=False),
        responses=openapi.responses(KitchenResponse, 400, 413, 415, 422, 503),
    )
    def resume_kitchen() -> Response:
        form = parse_request(ByRequest, optional=True)
        with dependencies.connection() as conn:
            return _answer(conn, control.resume_kitchen(conn, by=form.by, actor=current_actor()))


def _answer(conn: Connection, state: control.KitchenState) -> Response:
    return json_response(documents.kitchen(state, storage.list_open_stations(conn)))
