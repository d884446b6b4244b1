"""`/`: the menu and the basket. Without scripts it is a form."""

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
from pizza.menu import storage as menu
from pizza.web.api.place_order import PlaceOrder
from pizza.web.dependencies import JSON, Dependencies
from pizza.web.http.problems import INVALID_ORDER
from pizza.web.http.request_body import read_form
from pizza.web.pages import html
from pizza.web.schemas.serializers import TRACK

_QUANTITY, _PRICE = "quantity:", "price:"
# The sections of the menu in their order; others come between.
_FIRST_TAGS, _LAST_TAGS = ("pizza", "pasta", "grill", "soup", "salad"), ("dessert", "drink")
# For errors of a whole field; those of single items have the API's texts.
_FIELD_MESSAGES = {
    "customer_name": "Enter your name.",
    "delivery_address": "Enter street and house number.",
    "items": "Choose at least one dish.",
}
_CHECK_FIELDS = "Please check the marked fields."
_TYPES = ((rules.TAKEOUT, "Pickup"), (rules.DINE_IN, "Dine in"), (rules.DELIVERY, "Delivery"))


def register(pages: Blueprint, dependencies: Dependencies, endpoint: PlaceOrder) -> None:
    """Add the page and its form to `pages`."""

    def read_menu() -> list[Dish]:
        with dependencies.connection() as conn:
            return menu.list_dishes(conn)

    @pages.get("/")
    def order() -> Response:
        return _page(read_menu(), {}, {})

    @pages.post("/")
    def order_form() -> Response:
        form = read_form(request.environ)
        menu = read_menu()
        body = json.dumps(_order_document(form, menu)).encode()
        status, _, answer = endpoint.respond(
            _api_environ(request.environ, body, form.get("key", ""))
        )
        document = json.loads(answer)
        if status == 201:
            return html.redirect_to(f"{TRACK}{document['tracking_token']}")
        return _page(menu, form, document)


def _page(menu: list[Dish], form: Mapping[str, str], problem: Mapping[str, Any]) -> Response:
    """The page with the entered values and their errors."""
    errors: dict[str, str] = {}
    detail, is_invalid = problem.get("detail", ""), problem.get("detail") == INVALID_ORDER
    for each in problem.get("errors", ()):
        field = "items" if each["field"].startswith("items") else each["field"]
        message = _FIELD_MESSAGES.get(each["field"]) if is_invalid else None
        errors.setdefault(field, message or each["message"])
    response = html.render_page(
        "order.html",
        status=problem.get("status", 200),
        sections=_menu_sections(menu),
        form=form,
        types=_TYPES,
        limits=rules,
        names=names,
        detail=_CHECK_FIELDS if is_invalid else detail,
        messages={"detail": [INVALID_ORDER, _CHECK_FIELDS], "fields": _FIELD_MESSAGES},
        errors=errors,
        # The same key when the form is sent again, so that it places one order.
        key=form.get("key") or str(uuid.uuid4()),
        prefix=_QUANTITY,
        price_prefix=_PRICE,
    )
    # Going back to the page starts another order.
    response.headers["Cache-Control"] = "no-store"
    return response


def _menu_sections(menu: list[Dish]) -> list[tuple[str, list[Dish]]]:
    """The menu grouped by tag."""
    found = [(tag, list(group)) for tag, group in groupby(menu, key=lambda dish: dish.tag)]
    rank = {tag: number for number, tag in enumerate((*_FIRST_TAGS, "", *_LAST_TAGS))}
    return sorted(found, key=lambda section: rank.get(section[0], rank[""]))


def _order_document(form: Mapping[str, str], menu: list[Dish]) -> dict[str, Any]:
    """The document for POST /orders, with the prices that the page has shown."""
    order_type = form.get("order_type", rules.TAKEOUT)
    found: dict[str, Any] = {
        "customer_name": form.get("customer_name", ""),
        "order_type": order_type,
        "items": [
            {"name": dish.name, "quantity": quantity, "price": _displayed_price(form, dish)}
            for dish in menu
            if dish.price is not None
            and (quantity := _parse_int(form.get(f"{_QUANTITY}{dish.name}", ""))) not in ("", 0)
        ],
    }
    if order_type == rules.DINE_IN and form.get("table_number", "").strip():
        found["table_number"] = _parse_int(form["table_number"])
    if order_type == rules.DELIVERY and form.get("delivery_address", "").strip():
        found["delivery_address"] = form["delivery_address"].strip()
    return found


def _displayed_price(form: Mapping[str, str], dish: Dish) -> float:
    """The price that the page has shown; the menu's price if it cannot be parsed."""
    try:
        price = Decimal(form.get(f"{_PRICE}{dish.name}", ""))
    except InvalidOperation:
        price = dish.price or Decimal(0)
    return float(price if price.is_finite() else dish.price or 0)


def _parse_int(text: str) -> int | str:
    """The number in a field; other text is returned unchanged, and fails validation later."""
    text = text.strip()
    try:
        return int(text) if len(text) < 10 else text
    except ValueError:
        return text


def _api_environ(environ: Mapping[str, Any], body: bytes, key: str) -> dict[str, Any]:
    """The WSGI environment of the same client sending `body` to POST /orders."""
    found = {
        **environ,
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": JSON,
        "CONTENT_LENGTH": str(len(body)),
    }
    return found | {"HTTP_IDEMPOTENCY_KEY": key} if key else found
