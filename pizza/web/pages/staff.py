"""`/login`: a staff key, posted once, opens a session for this browser."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from pizza.domain.errors import CredentialUnknown
from pizza.services.doors import SESSION_SECONDS, Doors
from pizza.web.body import read_form
from pizza.web.credentials import Credentials
from pizza.web.gate import COOKIE, refuse
from pizza.web.pages import paper

_FIRST = "/kitchen"
_UNKNOWN = "This key is not known here, or not any more."


def register(pages: Blueprint, doors: Doors, credentials: Credentials) -> None:
    """Add login and logout to `pages`."""

    @pages.get("/login")
    def login() -> Response:
        if not doors.closed():
            return paper.go(_FIRST)
        return paper.page("login.html", following=_local(request.args.get("next")), error="")

    @pages.post("/login")
    def login_form() -> Response:
        form = read_form(request.environ)
        following = _local(form.get("next"))
        try:
            session = credentials.session(request.environ, form.get("key", "").strip())
        except CredentialUnknown as refusal:
            try:
                refuse(refusal, request.environ)  # for the log
            except CredentialUnknown:
                return paper.page("login.html", status=403, following=following, error=_UNKNOWN)
        response = paper.go(following)
        response.set_cookie(
            COOKIE, session, max_age=SESSION_SECONDS, httponly=True, samesite="Strict",
            path=request.script_root or "/",
            secure=request.is_secure or request.headers.get("X-Forwarded-Proto") == "https",
        )  # fmt: skip
        return response

    @pages.post("/logout")
    def logout() -> Response:
        response = paper.go("/")
        response.delete_cookie(
            COOKIE, path=request.script_root or "/", httponly=True, samesite="Strict"
        )
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
