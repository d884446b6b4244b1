"""`/login`: a staff key, posted once, opens a session for this browser; `/logout` ends it."""

from __future__ import annotations

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

_FIRST = "/kitchen"
_UNKNOWN = "Wrong or revoked key."


def register(pages: Blueprint, authenticator: Authenticator, credentials: Credentials) -> None:
    """Add login and logout to `pages`."""

    @pages.get("/login")
    def login() -> Response:
        if not authenticator.auth_required():
            return html.redirect_to(_FIRST)
        return html.render_page("login.html", following=_local(request.args.get("next")), error="")

    @pages.post("/login")
    def login_form() -> Response:
        form = read_form(request.environ)
        following = _local(form.get("next"))
        source, agent = address_of(request.environ), request.headers.get("User-Agent", "")
        try:
            cookie = credentials.log_in(
                request.environ, form.get("key", "").strip(), source=source, agent=agent
            )
        except InvalidCredential as refusal:
            try:
                deny(refusal, request.environ)  # for the log
            except InvalidCredential:
                return html.render_page(
                    "login.html", status=403, following=following, error=_UNKNOWN
                )
        response = html.redirect_to(following)
        response.set_cookie(
            authorization.cookie_name(request.environ), cookie, httponly=True, samesite="Strict",
            max_age=int(sessions.MAX_AGE.total_seconds()), path=request.script_root or "/",
            secure=authorization.is_https(request.environ),
        )  # fmt: skip
        return response

    @pages.post("/logout")
    def logout() -> Response:
        cookie = authorization.session_cookie(request.environ)
        if cookie is not None:
            authenticator.log_out(cookie, source=address_of(request.environ))
        response = html.redirect_to("/")
        response.delete_cookie(
            authorization.cookie_name(request.environ), httponly=True, samesite="Strict",
            path=request.script_root or "/", secure=authorization.is_https(request.environ),
        )  # fmt: skip
        return response


def login_address(following: str) -> str:
    """Where to log in, to be sent on to `following` afterwards."""
    return f"/login?{urlencode({'next': following})}"


def _local(address: str | None) -> str:
    """The address, if it is one of ours: nobody is to be sent elsewhere by a link to the login."""
    if address and address.isascii() and address.isprintable():
        plain = address.startswith("/") and not address.startswith("//") and "\\" not in address
        return address if plain else _FIRST
    return _FIRST
