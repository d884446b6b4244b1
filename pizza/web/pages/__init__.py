"""Pages: rendered by the server; most work without JavaScript.

Each has one template. Scripts fetch a live page again and replace its changed parts, so texts are
in the templates only. The kitchen page alone is drawn by the browser, from `GET /kitchen/board`.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request

from pizza.auth.authenticator import Authenticator
from pizza.web.api.place_order import PlaceOrder
from pizza.web.dependencies import Dependencies
from pizza.web.http import problems
from pizza.web.pages import (
    audit,
    dead_letters,
    html,
    login,
    manage,
    order,
    sessions,
    static_files,
    track,
)
from pizza.web.security.credentials import Credentials

NAME = "pages"
# Operations whose path is also a page.
_SHARED = ("tracked_order", "kitchen")


def install(
    app: Flask,
    dependencies: Dependencies,
    authenticator: Authenticator,
    credentials: Credentials,
    endpoint: PlaceOrder,
) -> None:
    """Add the pages to `app`, and show errors as pages to browsers."""
    pages = Blueprint(NAME, __name__)
    static_files.register(pages)
    order.register(pages, dependencies, endpoint)
    track.register(pages, dependencies, credentials)
    login.register(pages, authenticator, credentials)
    manage.register(pages, dependencies)
    dead_letters.register(pages, dependencies)
    audit.register(pages, dependencies)
    sessions.register(pages, dependencies)
    app.register_blueprint(pages)
    app.register_error_handler(Exception, _respond)


def _respond(error: Exception) -> Response:
    """The response to an exception: a problem, as a page for a browser."""
    endpoint = request.endpoint or f"{NAME}.nothing"
    if not html.prefers_html() or not endpoint.startswith((*_SHARED, f"{NAME}.")):
        return problems.handle_exception(error)
    problem = problems.problem_for(error)
    if problem.status == 401 and request.method == "GET":
        return html.redirect_to(login.login_url(request.full_path.rstrip("?")))
    return html.render_problem(problem)
