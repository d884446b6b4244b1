"""`/track/<token>` for people: where an order is, what it has been through, when it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, request

from pizza.domain.errors import IllegalTransition, InvalidCredential
from pizza.domain.order import DELIVERY, DINE_IN, TAKEOUT, Order, StatusChange
from pizza.domain.status import (
    CANCELLED,
    COOKING,
    CUSTOMER,
    DELIVERED,
    OUT_FOR_DELIVERY,
    READY,
    RECEIVED,
    allowed,
)
from pizza.orders import actions
from pizza.web.dependencies import DATABASE_SECONDS, Dependencies
from pizza.web.http.problems import Problem
from pizza.web.pages import html
from pizza.web.schemas.serializers import TRACK
from pizza.web.security.credentials import Credentials

NO_ORDER = "There is no order with this token."
_ENDED = (DELIVERED, CANCELLED)
_HEADLINES = {
    RECEIVED: "We have your order",
    COOKING: "Your order is being cooked",
    READY: "Your order is ready",
    OUT_FOR_DELIVERY: "Your order is on its way",
    DELIVERED: "Enjoy your meal!",
    CANCELLED: "This order is cancelled",
}
_STAGES = {
    "quality": "Quality has a last look at it.",
    "packaging": "It is being packed.",
    "courier": "It waits for its courier.",
    "handover": "It waits for you at the counter.",
}
_LAST = {DINE_IN: "Served", DELIVERY: "Delivered"}
_SENTENCES = {
    RECEIVED: "We have your order.",
    COOKING: "{who} has begun to cook it.",
    READY: "It is ready.",
    OUT_FOR_DELIVERY: "{who} is on the way to you.",
    CANCELLED: "You have cancelled it.",
}
_AGAIN = {COOKING: "{who} has taken over the cooking."}
_HANDED_OVER = {
    DINE_IN: "It was served.",
    TAKEOUT: "It was handed over.",
    DELIVERY: "It was delivered.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way: its name, whether it is done, current or to come, and since when."""

    name: str
    state: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of the history, in plain words."""

    at: datetime
    words: str


def register(pages: Blueprint, dependencies: Dependencies, credentials: Credentials) -> None:
    """Add the form of the page to `pages`; the page itself is at the operation's address."""

    @pages.post("/track/<token>/cancel")
    def cancel(token: str) -> Response:
        number = number_of(credentials, token)
        try:
            with dependencies.pool.connection(timeout=DATABASE_SECONDS) as conn:
                actions.cancel(conn, number, role=CUSTOMER)
        except IllegalTransition:
            pass  # the page says where it is by now
        return html.redirect_to(f"{TRACK}{token}")


def number_of(credentials: Credentials, token: str) -> str:
    """The order of a token. Raises Problem 404 or 429, DatabaseUnavailable."""
    try:
        return credentials.authenticate_customer(request.environ, token).number or ""
    except InvalidCredential:
        raise Problem(404, NO_ORDER) from None


def page(order: Order, history: Sequence[StatusChange], token: str) -> Response:
    """The page of an order."""
    return html.render_page(
        "track.html",
        live=True,
        order=order,
        token=token,
        headline=_headline(order),
        stage=_stage(order),
        steps=steps(order, history),
        history=[TimelineEntry(each.timestamp, words) for each, words in told(order, history)],
        due=order.estimated_completion if order.status in (RECEIVED, COOKING) else None,
        may_cancel=CANCELLED in allowed(order.status, order.order_type, CUSTOMER),
        ended=order.status in _ENDED,
    )


def _headline(order: Order) -> str:
    if order.status == DELIVERED and order.order_type == DELIVERY:
        return "Your order is with you. Enjoy your meal!"
    return _HEADLINES[order.status]


def _stage(order: Order) -> str:
    if order.status != READY:
        return ""
    if order.stage == "handover" and order.order_type == DINE_IN:
        return "It is being brought to your table."
    return _STAGES.get(order.stage or "", "")


def steps(order: Order, history: Sequence[StatusChange]) -> list[Step]:
    """The way of an order of this type; of one that was sent back, the way it takes now."""
    way = [(RECEIVED, "Received"), (COOKING, "Cooking"), (READY, "Ready")]
    if order.order_type == DELIVERY:
        way.append((OUT_FOR_DELIVERY, "On its way"))
    way.append((DELIVERED, _LAST.get(order.order_type, "Picked up")))
    since: dict[str, datetime] = {}
    for change in history:
        if change.status == RECEIVED and since:
            since = {RECEIVED: since[RECEIVED]}
        since.setdefault(change.status, change.timestamp)
    places = [status for status, _ in way]
    here = places.index(order.status) if order.status in places else -1
    found = []
    for place, (status, name) in enumerate(way):
        if here < 0:
            state = "done" if status in since else "off"
        else:
            state = "done" if place < here else "current" if place == here else "ahead"
        if status == order.status == DELIVERED:
            state = "done"
        found.append(Step(name, state, since.get(status)))
    return found


def told(order: Order, history: Sequence[StatusChange]) -> list[tuple[StatusChange, str]]:
    """Every change with a sentence for the customer, newest first."""
    before, found = "", []
    for change in history:
        found.append((change, _sentence(order, change, before)))
        before = change.status
    return found[::-1]


def _sentence(order: Order, change: StatusChange, before: str) -> str:
    why = (change.notes or "").partition(": ")[2]
    again = change.status == before
    if again and (change.notes or "").startswith("priority "):
        return "Its place in the line has changed."
    if change.status == RECEIVED and before:
        reason = f" ({why})" if why else ""
        return f"It goes back to the kitchen{reason}, to be cooked again before all others."
    if change.status == CANCELLED and change.changed_by != CUSTOMER:
        return f"The restaurant has cancelled it{f': {why}' if why else ''}."
    words = _AGAIN if again else _HANDED_OVER if change.status == DELIVERED else _SENTENCES
    key = order.order_type if words is _HANDED_OVER else change.status
    return words.get(key, f"It is {change.status}.").format(who=change.changed_by)
