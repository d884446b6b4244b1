"""`/track/<token>` as a page: progress, timeline and estimate of an order."""

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
    ENDED,
    OUT_FOR_DELIVERY,
    READY,
    RECEIVED,
    allowed,
)
from pizza.orders import actions
from pizza.web.dependencies import Dependencies
from pizza.web.http.problems import Problem
from pizza.web.pages import html
from pizza.web.schemas.serializers import TRACK
from pizza.web.security.credentials import Credentials

NO_ORDER = "There is no order with this token."
_HEADLINES = {
    RECEIVED: "We have your order",
    COOKING: "Your order is being cooked",
    READY: "Your order is ready",
    OUT_FOR_DELIVERY: "Your order is on its way",
    DELIVERED: "Enjoy your meal!",
    CANCELLED: "Order cancelled",
}
_STAGES = {
    "quality": "Final check",
    "packaging": "Being packed",
    "courier": "Waiting for a driver",
    "handover": "Ready for you at the counter",
}
_LAST = {DINE_IN: "Served", DELIVERY: "Delivered"}
# Without names: workers have those of processes.
_SENTENCES = {
    RECEIVED: "We have your order.",
    COOKING: "We started cooking.",
    READY: "It is ready.",
    OUT_FOR_DELIVERY: "Your driver is on the way.",
    CANCELLED: "You cancelled this order.",
}
_REPEATED = {COOKING: "Another cook took over."}
_HANDED_TO_CUSTOMER = {
    DINE_IN: "It was served.",
    TAKEOUT: "It was handed over.",
    DELIVERY: "It was delivered.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the progress. state: done, current, ahead or off; at: when it was reached."""

    name: str
    state: str
    at: datetime | None


def register(pages: Blueprint, dependencies: Dependencies, credentials: Credentials) -> None:
    """Add the form of the page to `pages`; the page itself is at the path of the API operation."""

    @pages.post("/track/<token>/cancel")
    def cancel(token: str) -> Response:
        number = order_of_token(credentials, token)
        try:
            with dependencies.connection() as conn:
                actions.cancel(conn, number, role=CUSTOMER)
        except IllegalTransition:
            pass  # the page shows the present status
        return html.redirect_to(f"{TRACK}{token}")


def order_of_token(credentials: Credentials, token: str) -> str:
    """The number of a token's order. Raises Problem 404 or 429, DatabaseUnavailable."""
    try:
        return credentials.authenticate_customer(request.environ, token).number or ""
    except InvalidCredential:
        raise Problem(404, NO_ORDER) from None


def tracking_page(order: Order, history: Sequence[StatusChange], token: str) -> Response:
    """The page of an order."""
    return html.render_page(
        "track.html",
        live=True,
        order=order,
        token=token,
        headline=_headline(order),
        stage=_stage(order),
        steps=progress(order, history),
        timeline=timeline(order, history),
        due=order.estimated_completion if order.status in (RECEIVED, COOKING) else None,
        may_cancel=CANCELLED in allowed(order.status, order.order_type, CUSTOMER),
        ended=order.status in ENDED,
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


def progress(order: Order, history: Sequence[StatusChange]) -> list[Step]:
    """The steps of an order of this type; of an order that was sent back, since then."""
    path = [(RECEIVED, "Received"), (COOKING, "Cooking"), (READY, "Ready")]
    if order.order_type == DELIVERY:
        path.append((OUT_FOR_DELIVERY, "On its way"))
    path.append((DELIVERED, _LAST.get(order.order_type, "Picked up")))
    since: dict[str, datetime] = {}
    for change in history:
        if change.status == RECEIVED and since:
            since = {RECEIVED: since[RECEIVED]}
        since.setdefault(change.status, change.timestamp)
    places = [status for status, _ in path]
    here = places.index(order.status) if order.status in places else -1
    found = []
    for place, (status, name) in enumerate(path):
        if here < 0:
            state = "done" if status in since else "off"
        else:
            state = "done" if place < here else "current" if place == here else "ahead"
        if status == order.status == DELIVERED:
            state = "done"
        found.append(Step(name, state, since.get(status)))
    return found


def timeline(order: Order, history: Sequence[StatusChange]) -> list[tuple[datetime, str]]:
    """The time of every change and a sentence for the customer, newest first."""
    former = ("", *(change.status for change in history))
    found = [
        (change.timestamp, _describe(order, change, before))
        for change, before in zip(history, former, strict=False)
    ]
    return found[::-1]


def _describe(order: Order, change: StatusChange, before: str) -> str:
    reason = (change.notes or "").partition(": ")[2]
    repeated = change.status == before
    if repeated and (change.notes or "").startswith("priority "):
        return "Your order was moved in the queue."
    if change.status == RECEIVED and before:
        return f"We’re remaking your order, first in line{f' ({reason})' if reason else ''}."
    if change.status == CANCELLED and change.changed_by != CUSTOMER:
        return f"The restaurant cancelled this order{f': {reason}' if reason else ''}."
    sentences = (
        _REPEATED if repeated else _HANDED_TO_CUSTOMER if change.status == DELIVERED else _SENTENCES
    )
    key = order.order_type if sentences is _HANDED_TO_CUSTOMER else change.status
    return sentences.get(key, f"It is {change.status}.")
