"""`/login` opens a session for a browser with a staff key; `/logout` ends it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from pizza.auth import sessions
from pizza.auth.authenticator import Authenticator
from pizza.domain.errors import InvalidCredential
from pizza.web.http.request_body import read_form
from pizza.web.pages import html
from pizza.web.security import authorization
from pizza.web.security.authorization import deny
from pizza.web.security.credentials import Credentials
from pizza.web.security.proxies import address_of

_DEFAULT_URL = "/kitchen"
_WRONG_KEY = "Wrong or revoked key."


def register(pages: Blueprint, authenticator: Authenticator, credentials: Credentials) -> None:
    """Add login and logout to `pages`."""

    @pages.get("/login")
    def login() -> Response:
        if not authenticator.auth_required():
            return html.redirect_to(_DEFAULT_URL)
        return html.render_page(
            "login.html", next_url=_safe_url(request.args.get("next")), error=""
        )

    @pages.post("/login")
    def login_form() -> Response:
        form = read_form(request.environ)
        next_url = _safe_url(form.get("next"))
        source, agent = address_of(request.environ), request.headers.get("User-Agent", "")
        try:
            cookie = credentials.log_in(
                request.environ, form.get("key", "").strip(), source=source, agent=agent
            )
        except InvalidCredential as refusal:
            with suppress(InvalidCredential):
                deny(refusal, request.environ)  # for the log
            return html.render_page("login.html", status=403, next_url=next_url, error=_WRONG_KEY)
        response = html.redirect_to(next_url)
        response.set_cookie(value=cookie, max_age=sessions.MAX_AGE, **_cookie())
        return response

    @pages.post("/logout")
    def logout() -> Response:
        cookie = authorization.session_cookie(request.environ)
        if cookie is not None:
            authenticator.log_out(cookie, source=address_of(request.environ))
        response = html.redirect_to("/")
        response.delete_cookie(**_cookie())
        return response


def _cookie() -> dict[str, Any]:
    """The session's cookie without its value, for the address of the current request."""
    return {
        "key": authorization.cookie_name(request.environ),
        "httponly": True,
        "samesite": "Strict",
        "path": request.script_root or "/",
        "secure": authorization.is_https(request.environ),
    }


def login_url(next_url: str) -> str:
    """The login page that redirects to `next_url` afterwards."""
    return f"/login?{urlencode({'next': next_url})}"


def _safe_url(address: str | None) -> str:
    """The URL if it is a path of this site, else the default: no open redirects."""
    if address and address.isascii() and address.isprintable():
        plain = address.startswith("/") and not address.startswith("//") and "\\" not in address
        return address if plain else _DEFAULT_URL
    return _DEFAULT_URL
