"""Renders pages from templates, with the headers that all pages have."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from flask import Response, g, request
from jinja2 import Environment, PackageLoader, StrictUndefined

from pizza.domain.roles import MANAGER
from pizza.observability.printable import printable
from pizza.web.http.problems import Problem
from pizza.web.security.authorization import session_cookie

HTML = "text/html; charset=utf-8"
# No external resources, no inline code, no framing by other sites.
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
# With no-referrer a form would be sent with the origin `null`.
_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}


def prefers_html() -> bool:
    """Whether the current request prefers HTML to JSON, as browsers do."""
    accepts = request.accept_mimetypes
    return bool(accepts["text/html"] > accepts["application/json"])


def render_page(
    template: str, *, status: int = 200, live: bool = False, **context: Any
) -> Response:
    """Render a template. live: add an ETag and respond 304 to a browser that has this version."""
    context["root"] = request.script_root
    context["logged_in"] = session_cookie(request.environ) is not None
    context["manages"] = "principal" in g and g.principal.has_role(MANAGER)
    text = _TEMPLATES.get_template(template).render(context)
    response = set_headers(Response(text, status, content_type=HTML))
    if live:
        response.add_etag(weak=True)
        response.make_conditional(request.environ)
    return response


def render_problem(found: Problem) -> Response:
    """Render an error as a page."""
    response = render_page("problem.html", status=found.status, problem=found)
    response.headers.extend(found.headers)
    return response


def redirect_to(address: str) -> Response:
    """Redirect the browser to a page after a form. address: path below the root."""
    location = f"{request.script_root}{address}"
    return set_headers(Response(status=303, headers={"Location": location}, content_type=HTML))


def set_headers(response: Response) -> Response:
    """Add the headers that every page has."""
    response.headers.update(_HEADERS)
    response.vary.add("Accept")
    return response


def _moment(value: datetime | None) -> str:
    """A time for `<time datetime>`, which scripts show in local time."""
    if value is None:
        return ""
    utc = value.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clock(value: datetime | None) -> str:
    """A time for browsers without scripts."""
    return f"{value.astimezone(UTC):%H:%M} UTC" if value else ""


def _second(value: datetime) -> str:
    """A date and time to the second."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _money(value: Decimal | None) -> str:
    return f"${value:,.2f}" if value is not None else ""


def _seconds(value: float | None) -> str:
    """A duration: 8.2 s, 3 min 20 s."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    return (
        f"{minutes} min {seconds:02} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02} min"
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _json(value: object, indent: int | None = None, limit: int | None = None) -> str:
    """JSON for people: without control characters, cut after `limit` characters."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return printable(text if limit is None or len(text) <= limit else f"{text[:limit]}…")


_TEMPLATES = Environment(
    loader=PackageLoader("pizza.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(
    moment=_moment,
    clock=_clock,
    second=_second,
    money=_money,
    seconds=_seconds,
    slug=_slug,
    json=_json,
    printable=printable,
)
