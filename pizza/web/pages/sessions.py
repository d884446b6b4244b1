"""`/manage/sessions`: the open sessions, each with a button that ends it."""

from __future__ import annotations

from contextlib import suppress

from flask import Blueprint, Response, request

from pizza.auth import sessions as service
from pizza.auth import storage
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
        actor = authorization.current_actor()
        # The session may have ended meanwhile.
        with dependencies.connection() as conn, suppress(SessionNotFound):
            if id == "*":
                service.end_all_sessions(conn, actor=actor)
            elif id.isascii() and id.isalnum():
                service.end_session(conn, id, actor=actor)
            else:
                raise Problem(400, "A session is ended by its id, all of them by *.")
        return html.redirect_to(_ADDRESS)
