"""`/`: the menu, the basket, the order. Without scripts it is a form that is posted."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from itertools import groupby
from typing import Any

from flask import Blueprint, Response, request

from pizza.domain import names
from pizza.domain import order as rules
from pizza.domain.menu import Dish
from pizza.menu import dishes
from pizza.web.api.place_order import PlaceOrder
from pizza.web.dependencies import DATABASE_SECONDS, JSON, Dependencies
from pizza.web.http.request_body import read_form
from pizza.web.pages import html
from pizza.web.schemas.serializers import TRACK

_QUANTITY, _PRICE = "quantity:", "price:"
# The courses as a menu has them; those that it does not know come between.
_BEGIN, _END = ("pizza", "pasta", "grill", "soup", "salad"), ("dessert", "drink")
_TYPES = (
    (rules.TAKEOUT, "I pick it up"),
    (rules.DINE_IN, "I eat here"),
    (rules.DELIVERY, "Bring it to me"),
)


def register(pages: Blueprint, dependencies: Dependencies, endpoint: PlaceOrder) -> None:
    """Add the page and its form to `pages`."""

    def read_menu() -> list[Dish]:
        with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
            return dishes.dishes(conn)

    @pages.get("/")
    def order() -> Response:
        return _page(read_menu(), {}, {})

    @pages.post("/")
    def order_form() -> Response:
        form = read_form(request.environ)
        menu = read_menu()
        body = json.dumps(_document(form, menu)).encode()
        status, _, answer = endpoint.respond(_as_api(request.environ, body, form.get("key", "")))
        document = json.loads(answer)
        if status == 201:
            return html.redirect_to(f"{TRACK}{document['tracking_token']}")
        return _page(menu, form, document)


def _page(menu: list[Dish], form: Mapping[str, str], problem: Mapping[str, Any]) -> Response:
    """The page, with what was filled in and what was wrong with it."""
    errors: dict[str, str] = {}
    for each in problem.get("errors", ()):
        field = "items" if each["field"].startswith("items") else each["field"]
        errors.setdefault(field, each["message"])
    response = html.render_page(
        "order.html",
        status=problem.get("status", 200),
        courses=_courses(menu),
        form=form,
        types=_TYPES,
        limits=rules,
        names=names,
        detail=problem.get("detail", ""),
        errors=errors,
        # The same key when the same order is sent again, so that it is one order.
        key=form.get("key") or str(uuid.uuid4()),
        prefix=_QUANTITY,
        price_prefix=_PRICE,
    )
    # Whoever comes back to it begins another order.
    response.headers["Cache-Control"] = "no-store"
    return response


def _courses(menu: list[Dish]) -> list[tuple[str, list[Dish]]]:
    """The menu by its tags, which it is sorted by."""
    found = [(tag, list(group)) for tag, group in groupby(menu, key=lambda dish: dish.tag)]
    place = {tag: number for number, tag in enumerate((*_BEGIN, "", *_END))}
    return sorted(found, key=lambda course: place.get(course[0], place[""]))


def _document(form: Mapping[str, str], menu: list[Dish]) -> dict[str, Any]:
    """The order as POST /orders takes it, at the prices that the guest has seen."""
    order_type = form.get("order_type", rules.TAKEOUT)
    found: dict[str, Any] = {
        "customer_name": form.get("customer_name", ""),
        "order_type": order_type,
        "items": [
            {"name": dish.name, "quantity": quantity, "price": _seen(form, dish)}
            for dish in menu
            if dish.price is not None
            and (quantity := _whole(form.get(f"{_QUANTITY}{dish.name}", ""))) not in ("", 0)
        ],
    }
    if order_type == rules.DINE_IN and form.get("table_number", "").strip():
        found["table_number"] = _whole(form["table_number"])
    if order_type == rules.DELIVERY and form.get("delivery_address", "").strip():
        found["delivery_address"] = form["delivery_address"].strip()
    return found


def _seen(form: Mapping[str, str], dish: Dish) -> float:
    """The price that stood on the page; the menu's if the form has none that can be read."""
    try:
        seen = Decimal(form.get(f"{_PRICE}{dish.name}", ""))
    except InvalidOperation:
        seen = dish.price or Decimal(0)
    return float(seen if seen.is_finite() else dish.price or 0)


def _whole(text: str) -> int | str:
    """The number in a field; what is none goes on as it is, to be refused by name."""
    text = text.strip()
    try:
        return int(text) if len(text) < 10 else text
    except ValueError:
        return text


def _as_api(environ: Mapping[str, Any], body: bytes, key: str) -> dict[str, Any]:
    """The request as if the same client had sent this to POST /orders."""
    found = {
        **environ,
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": JSON,
        "CONTENT_LENGTH": str(len(body)),
    }
    return found | {"HTTP_IDEMPOTENCY_KEY": key} if key else found
