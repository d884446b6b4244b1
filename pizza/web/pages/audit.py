"""`/manage/audit`: the audit log, newest first, 50 entries a page."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from pizza.audit import audit_log as audit
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.web.dependencies import Dependencies
from pizza.web.pages import html

_ADDRESS = "/manage/audit"
_PAGE = 50
_LARGEST_ID = 2**63 - 1
_FILTERS = ("actor", "action", "object")


def register(pages: Blueprint, dependencies: Dependencies) -> None:
    """Add the page to `pages`."""

    @pages.get(_ADDRESS)
    def audit_log() -> Response:
        asked = {name: request.args.get(name, "").strip() for name in _FILTERS}
        with dependencies.connection() as conn:
            found = audit.list_entries(
                conn,
                actor=asked["actor"],
                action=asked["action"],
                about=asked["object"],
                before=_before(request.args.get("before")),
                limit=_PAGE,
            )
        older = {**asked, "before": found[-1].id} if len(found) == _PAGE else {}
        return html.render_page(
            "audit.html",
            here="manage",
            entries=found,
            asked=asked,
            older=f"{_ADDRESS}?{urlencode(older)}" if older else "",
        )


def _before(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST_ID):
        raise InvalidRequest([FieldError("before", "must be the id of an entry")])
    return int(text)
