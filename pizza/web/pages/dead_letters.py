"""`/manage/dead-letters`: failed messages, each with buttons to retry or delete it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from pizza.database.connection import BoundedConnection
from pizza.operations import dead_letters
from pizza.taskqueue.dead_letters import management as service
from pizza.taskqueue.dead_letters.management import BulkResult
from pizza.web.dependencies import Dependencies
from pizza.web.http.problems import Problem
from pizza.web.http.request_body import read_form
from pizza.web.pages import html
from pizza.web.security import authorization

_ADDRESS = "/manage/dead-letters"
_MAX_SHOWN = 100
_MAX_FAILURES = 20
# Retrying or dropping all of them may take longer than a read.
_APPLY_SECONDS = 20.0
_ACTIONS = {"retry": dead_letters.retry, "drop": dead_letters.drop}


def register(pages: Blueprint, dependencies: Dependencies) -> None:
    """Add the page and its form to `pages`."""

    @pages.get(_ADDRESS)
    def dead_letters() -> Response:
        with dependencies.connection() as conn:
            dependencies.read_audit.record(conn, "dead_letters_read", "dead letter")
            return _page(conn)

    @pages.post(_ADDRESS)
    def dead_letters_form() -> Response:
        form = read_form(request.environ)
        verb, id = form.get("do", ""), form.get("id", "")
        if verb not in _ACTIONS:
            raise Problem(400, "A dead letter can be sent again (retry) or dropped (drop).")
        with dependencies.pool.connection(timeout=_APPLY_SECONDS) as conn:
            chosen = None if id == "*" else id
            done = _ACTIONS[verb](conn, chosen, authorization.current_actor())
            if not done.failures:
                return html.redirect_to(_ADDRESS)
            return _page(conn, done, verb)


def _page(conn: BoundedConnection, done: BulkResult | None = None, verb: str = "") -> Response:
    """The page. done: the result of an action that failed for some of them."""
    letters = service.list_dead_letters(conn, _MAX_SHOWN)
    return html.render_page(
        "dead_letters.html",
        status=200 if done is None else 409,
        here="manage",
        letters=letters,
        total=service.count(conn) if len(letters) == _MAX_SHOWN else len(letters),
        done=done,
        failures=list(done.failures.items())[:_MAX_FAILURES] if done else [],
        done_verb="retried" if verb == "retry" else "deleted",
    )
