"""`/manage/audit`: the audit log, newest first, 50 entries a page."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from pizza.audit import audit_log as audit
from pizza.audit.audit_log import AuditEntry, Details
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.observability.printable import printable
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
            entries=list(map(_to_row, found)),
            asked=asked,
            older=f"{_ADDRESS}?{urlencode(older)}" if older else "",
        )


def _before(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST_ID):
        raise InvalidRequest([FieldError("before", "must be the id of an entry")])
    return int(text)


def _to_row(entry: AuditEntry) -> dict[str, Any]:
    """The fields for the template, with control characters escaped."""
    texts = ("actor", "action", "object_kind", "object_id", "source")
    return {
        **{name: printable(getattr(entry, name)) for name in texts},
        "id": entry.id,
        "at": entry.at,
        "role": entry.role,
        "key_id": entry.key_id,
        "before": _to_json(entry.before),
        "after": _to_json(entry.after),
    }


def _to_json(details: Details | None) -> str:
    return "" if details is None else printable(json.dumps(details, ensure_ascii=False))
