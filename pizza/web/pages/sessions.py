"""`/manage/sessions`: the open sessions, each with a button that ends it."""

from __future__ import annotations

from contextlib import suppress

from flask import Blueprint, Response, request

from pizza.auth import sessions as service
from pizza.auth import storage
from pizza.database.connection import Connection
from pizza.domain.errors import SessionNotFound
from pizza.web.dependencies import Dependencies
from pizza.web.http.problems import Problem
from pizza.web.http.request_body import read_form
from pizza.web.pages import html
from pizza.web.security import authorization

_ADDRESS = "/manage/sessions"


def register(pages: Blueprint, dependencies: Dependencies) -> None:
    """Add the page and its form to `pages`."""

    @pages.get(_ADDRESS)
    def sessions() -> Response:
        with dependencies.connection() as conn:
            found = storage.list_sessions(conn)
        return html.render_page(
            "sessions.html",
            here="manage",
            sessions=found,
            own=authorization.current_principal().session,
            shortened=service.SHORT_ID,
        )

    @pages.post(_ADDRESS)
    def sessions_form() -> Response:
        id = read_form(request.environ).get("id", "")
        with dependencies.connection() as conn:
            if id == "*":
                service.end_all_sessions(conn, actor=authorization.current_actor())
            else:
                _end(conn, id)
        return html.redirect_to(_ADDRESS)


def _end(conn: Connection, id: str) -> None:
    if not (id.isascii() and id.isalnum()):
        raise Problem(400, "A session is ended by its id, all of them by *.")
    with suppress(SessionNotFound):  # it may have ended meanwhile
        service.end_session(conn, id, actor=authorization.current_actor())
