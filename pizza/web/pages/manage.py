"""`/manage`: kitchen, queues, workers, charts, the day's report and the menu, with their forms."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from flask import Blueprint, Response, request

from pizza.database.connection import Connection
from pizza.domain.errors import DomainError, FieldError, InvalidRequest
from pizza.kitchen import control, worker_storage
from pizza.kitchen import storage as kitchen
from pizza.menu import dishes
from pizza.menu import storage as menu
from pizza.reports import storage as figures
from pizza.reports.day import TODAY, read_day
from pizza.reports.storage import Sample
from pizza.web.dependencies import Dependencies
from pizza.web.http.request_body import read_form
from pizza.web.pages import charts, html
from pizza.web.security import authorization

_ADDRESS = "/manage"
_MINUTES = 30
_STATES = ("pending", "sent", "claimed", "scheduled")


def register(pages: Blueprint, dependencies: Dependencies) -> None:
    """Add the page and its form to `pages`."""

    @pages.get(_ADDRESS)
    def manage() -> Response:
        with dependencies.connection() as conn:
            return _page(conn, dependencies.relay_state())

    @pages.post(_ADDRESS)
    def manage_form() -> Response:
        form = read_form(request.environ)
        with dependencies.connection() as conn:
            try:
                _perform_action(conn, form)
            except DomainError as refusal:
                return _page(conn, dependencies.relay_state(), str(refusal))
        return html.redirect_to(_ADDRESS)


def _perform_action(conn: Connection, form: dict[str, str]) -> None:
    """Perform the action of a button. Raises DomainError."""
    dish, reason = form.get("dish", ""), form.get("reason", "").strip()
    actor = authorization.current_actor()
    match form.get("do"):
        case "pause":
            control.pause_kitchen(conn, reason=reason or None, actor=actor)
        case "resume":
            control.resume_kitchen(conn, actor=actor)
        case "sold-out" | "available" as what:
            dishes.set_sold_out(conn, dish, what == "sold-out", actor=actor)
        case "remove":
            dishes.remove_dish(conn, dish, actor=actor)
        case "add":
            tag = form.get("tag", "").strip()
            dishes.add_dish(conn, dish.strip(), tag, _price(form), actor=actor)
        case _:
            raise InvalidRequest([FieldError("do", "is not an action of this page")])


def _price(form: dict[str, str]) -> Decimal | None:
    text = form.get("price", "").strip()
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        raise InvalidRequest([FieldError("price", "must be a number")]) from None


def _page(conn: Connection, relay: str, problem: str = "") -> Response:
    samples = figures.list_samples(conn)
    return html.render_page(
        "manage.html",
        status=422 if problem else 200,
        live=not problem,
        here="manage",
        problem=problem,
        relay=relay,
        kitchen=kitchen.get_state(conn),
        stations=kitchen.list_open_stations(conn),
        workers=worker_storage.list_workers(conn),
        queues=_queues(samples),
        states=_STATES,
        lag=_total(samples, "outbox_lag_seconds"),
        retried=_total(samples, "messages_tried_again"),
        stuck=_total(samples, "orders_stuck"),
        charts=[_throughput_chart(conn), _waits_chart(conn)],
        report=figures.day_report(conn, read_day(TODAY)),
        dishes=menu.list_dishes(conn),
    )


def _queues(samples: Iterable[Sample]) -> dict[str, list[int]]:
    """The numbers of messages in the order of _STATES, by queue."""
    counts: dict[str, dict[str, int]] = {}
    for each in samples:
        if each.name == "messages":
            counts.setdefault(each.labels["queue"], {})[each.labels["state"]] = int(each.value)
    return {
        name: [found.get(state, 0) for state in _STATES] for name, found in sorted(counts.items())
    }


def _total(samples: Iterable[Sample], name: str) -> float:
    return sum(each.value for each in samples if each.name == name)


def _throughput_chart(conn: Connection) -> charts.Chart:
    minutes = figures.orders_per_minute(conn, _MINUTES)
    columns = [(f"{each.at:%H:%M}", (each.placed, each.ready)) for each in minutes]
    title = f"Orders in each of the last {_MINUTES} minutes (UTC)"
    return charts.bar_chart(title, ("placed", "ready"), columns, every=5)


def _waits_chart(conn: Connection) -> charts.Chart:
    waits = figures.priority_waits(conn)
    columns = [
        (f"priority {each.priority}", (each.avg_wait_seconds or 0.0, each.p90_wait_seconds or 0.0))
        for each in waits
    ]
    return charts.bar_chart(
        "Waiting for a cook, newest 5,000 orders",
        ("average", "90th percentile"),
        columns,
        unit=" s",
    )
