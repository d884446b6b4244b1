"""The menu over HTTP: what there is, what each dish asks of a cook, what is sold out."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, Field

from pizza.domain.menu import Dish
from pizza.services import staff
from pizza.web import docs, documents, gate, render
from pizza.web.backend import DATABASE_SECONDS, JSON, Backend
from pizza.web.forms import DishRequest, read
from pizza.web.names import BY_PARAMETER, NameQuery
from pizza.web.staff_schemas import DISH_EXAMPLE, DishResponse

TAG = Tag(name="menu", description="What there is to eat")


class DishPath(BaseModel):
    """Which dish."""

    name: str = Field(description="as on the menu; capitals, spaces and Unicode form do not matter")


def register(app: OpenAPI, backend: Backend) -> None:
    """Add the menu views to `app`."""

    def mark(name: str, sold_out: bool) -> Response:
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return _answer(staff.set_sold_out(conn, name, sold_out, actor=gate.actor()))

    def remove(name: str) -> Response:
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            staff.remove_dish(conn, name, actor=gate.actor())
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response

    @app.get(
        "/menu",
        tags=[TAG],
        summary="The menu, by tag and name",
        operation_id="menu",
        responses={200: docs.answers(DishResponse, [DISH_EXAMPLE]), **docs.problems(503)},
    )
    def menu() -> Response:
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            found = staff.dishes(conn)
        return Response(render.dump_lines(map(documents.dish, found)), content_type=JSON)

    @app.post(
        "/menu",
        tags=[TAG],
        summary="Put a dish on the menu, or change the tag and price of the one of this name",
        operation_id="add_dish",
        openapi_extensions=docs.body(
            DishRequest, {"name": "Pizza Funghi", "tag": "pizza", "price": 16.5}
        ),
        responses={
            200: docs.answer(DishResponse, DISH_EXAMPLE),
            **docs.problems(400, 413, 415, 422, 503),
        },
    )
    def add_dish() -> Response:
        form = read(DishRequest)
        with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
            dish = staff.add_dish(conn, form.name, form.tag, form.price, actor=gate.actor())
        return _answer(dish)

    removed: dict[str | int, Any] = {204: {"description": "It is off the menu", "content": {}}}
    marked: dict[str | int, Any] = {200: docs.answer(DishResponse, DISH_EXAMPLE)}

    @app.delete(
        "/menu/<named('sold-out','available'):name>",
        tags=[TAG],
        summary="Take a dish off the menu",
        operation_id="remove_dish",
        responses={**removed, **docs.problems(404, 503)},
    )
    def remove_dish(path: DishPath) -> Response:
        return remove(path.name)

    @app.delete(
        "/menu",
        tags=[TAG],
        summary="Take a dish off the menu, by its name as a parameter",
        description=BY_PARAMETER,
        operation_id="remove_dish_named",
        responses={**removed, **docs.problems(404, 422, 503)},
    )
    def remove_dish_named(query: NameQuery) -> Response:
        return remove(query.read())

    @app.post(
        "/menu/<named:name>/sold-out",
        tags=[TAG],
        summary="A dish is sold out: orders with it are refused from now on",
        operation_id="dish_sold_out",
        responses={**marked, **docs.problems(404, 503)},
    )
    def dish_sold_out(path: DishPath) -> Response:
        return mark(path.name, True)

    @app.post(
        "/menu/sold-out",
        tags=[TAG],
        summary="A dish is sold out, by its name as a parameter",
        description=BY_PARAMETER,
        operation_id="dish_sold_out_named",
        responses={**marked, **docs.problems(404, 422, 503)},
    )
    def dish_sold_out_named(query: NameQuery) -> Response:
        return mark(query.read(), True)

    @app.post(
        "/menu/<named:name>/available",
        tags=[TAG],
        summary="A dish is to be had again",
        operation_id="dish_available",
        responses={**marked, **docs.problems(404, 503)},
    )
    def dish_available(path: DishPath) -> Response:
        return mark(path.name, False)

    @app.post(
        "/menu/available",
        tags=[TAG],
        summary="A dish is to be had again, by its name as a parameter",
        description=BY_PARAMETER,
        operation_id="dish_available_named",
        responses={**marked, **docs.problems(404, 422, 503)},
    )
    def dish_available_named(query: NameQuery) -> Response:
        return mark(query.read(), False)


def _answer(dish: Dish) -> Response:
    return Response(render.dump(documents.dish(dish)), content_type=JSON)
