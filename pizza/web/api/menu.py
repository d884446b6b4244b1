"""The menu over HTTP: its dishes, their tags and prices, and which are sold out."""

from __future__ import annotations

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from pizza.menu import dishes, storage
from pizza.web import openapi
from pizza.web.dependencies import Dependencies
from pizza.web.http.name_paths import by_name
from pizza.web.http.responses import json_response, list_response, no_content
from pizza.web.schemas import documents
from pizza.web.schemas.requests import DishRequest, parse_request
from pizza.web.schemas.responses import DishResponse
from pizza.web.security.authorization import current_actor

TAG = Tag(name="menu", description="Dishes")


def register(app: OpenAPI, dependencies: Dependencies) -> None:
    """Add the menu views to `app`."""

    def set_sold_out(name: str, sold_out: bool) -> Response:
        with dependencies.connection() as conn:
            dish = dishes.set_sold_out(conn, name, sold_out, actor=current_actor())
        return json_response(documents.dish(dish))

    @app.get(
        "/menu",
        tags=[TAG],
        summary="The menu, by tag and name",
        responses=openapi.list_responses(DishResponse, 503),
    )
    def menu() -> Response:
        with dependencies.connection() as conn:
            found = storage.list_dishes(conn)
        return list_response(map(documents.dish, found))

    @app.post(
        "/menu",
        tags=[TAG],
        summary="Put a dish on the menu, or change the tag and price of the one of this name",
        openapi_extensions=openapi.body(DishRequest),
        responses=openapi.responses(DishResponse, 400, 413, 415, 422, 503),
    )
    def add_dish() -> Response:
        form = parse_request(DishRequest)
        with dependencies.connection() as conn:
            dish = dishes.add_dish(conn, form.name, form.tag, form.price, actor=current_actor())
        return json_response(documents.dish(dish))

    @by_name(
        app.delete,
        "/menu",
        operations=("sold-out", "available"),
        tags=[TAG],
        summary="Take a dish off the menu",
        responses=openapi.no_content("It is off the menu", 404, 503),
    )
    def remove_dish(name: str) -> Response:
        with dependencies.connection() as conn:
            dishes.remove_dish(conn, name, actor=current_actor())
        return no_content()

    @by_name(
        app.post,
        "/menu",
        "/sold-out",
        tags=[TAG],
        summary="A dish is sold out: orders with it are refused from now on",
        responses=openapi.responses(DishResponse, 404, 503),
    )
    def dish_sold_out(name: str) -> Response:
        return set_sold_out(name, True)

    @by_name(
        app.post,
        "/menu",
        "/available",
        tags=[TAG],
        summary="A dish is available again",
        responses=openapi.responses(DishResponse, 404, 503),
    )
    def dish_available(name: str) -> Response:
        return set_sold_out(name, False)
