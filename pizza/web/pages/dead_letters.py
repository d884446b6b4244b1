"""`/manage/dead-letters`: messages that nobody could process, to be sent again or thrown away.

A page of its own, as a look takes all of them in hand at the broker for a moment.
"""

from __future__ import annotations

import json

from flask import Blueprint, Response, request

from pizza.framework import dead_letters as service
from pizza.framework.broker import Broker
from pizza.framework.dead_letters import DeadLetter
from pizza.framework.errors import FrameworkError
from pizza.settings import Settings
from pizza.web.backend import DATABASE_SECONDS, Backend
from pizza.web.body import read_form
from pizza.web.errors import Problem
from pizza.web.pages import paper

_ADDRESS = "/manage/dead-letters"
_MOST = 100
_BODY_LENGTH = 2000


def register(pages: Blueprint, backend: Backend, settings: Settings) -> None:
    """Add the page and its form to `pages`."""

    def broker() -> Broker:
        return Broker(settings.broker_url, name="dead letters")

    @pages.get(_ADDRESS)
    def dead_letters() -> Response:
        try:
            found = service.letters(broker(), _MOST)
        except FrameworkError as error:
            raise _away(error) from error
        bodies = {each.id: json.dumps(each.body, indent=1)[:_BODY_LENGTH] for each in found}
        return paper.page(
            "dead_letters.html", here="manage", letters=found, bodies=bodies, most=_MOST
        )

    @pages.post(_ADDRESS)
    def dead_letters_form() -> Response:
        form = read_form(request.environ)
        chosen = form.get("id", "")

        def is_chosen(letter: DeadLetter) -> bool:
            return chosen in ("*", letter.id)

        try:
            if form.get("do") == "drop":
                service.drop(broker(), is_chosen)
            else:
                with backend.pool.connection(timeout=DATABASE_SECONDS) as conn:
                    service.retry(broker(), conn, is_chosen)
        except FrameworkError as error:
            raise _away(error) from error
        return paper.go(_ADDRESS)


def _away(error: FrameworkError) -> Problem:
    return Problem(
        503, f"The dead letters are at the broker. {error}.", headers=[("Retry-After", "5")]
    )
