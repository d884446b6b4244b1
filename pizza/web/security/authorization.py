"""Who may ask for what: one rule for each operation, and managers only where there is none.

A key or a token comes as `Authorization: Bearer …`, or a key as the session that it opened, in a
cookie (pizza.web.pages.login). The rules hold for Flask's views, before anything of a request is
read; POST /orders asks by itself (pizza.web.api.place_order), and knows no cookie.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from werkzeug.http import parse_cookie

from pizza.auth.authenticator import ANYBODY, Caller, Doors, looks_like_session
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.actor import Actor
from pizza.domain.errors import DomainError, Forbidden, InvalidCredential, Unauthenticated
from pizza.domain.order import OrderDraft, staff_fields
from pizza.domain.roles import STAFF
from pizza.web.http.cors import is_listed
from pizza.web.security.credentials import Credentials
from pizza.web.security.permissions import PERMISSIONS, REQUIRED_ROLE, Permission, permission_of
from pizza.web.security.proxies import address_of, came_by_proxy, host_is_unknown

__all__ = ["PERMISSIONS", "REQUIRED_ROLE", "Authorizer", "Permission", "permission_of"]

log = logging.getLogger(__name__)

COOKIE = "pizza_staff"
# Over HTTPS and without a path prefix: browsers let no other host and no plain HTTP set it.
HOST_COOKIE = f"__Host-{COOKIE}"
HEADERS = (("X-Content-Type-Options", "nosniff"),)
_SAFE = ("GET", "HEAD")
_FOREIGN = "This was sent by a page of another site, which may change nothing here."
_NEEDS_KEY = "This needs a staff key: Authorization: Bearer …."
_NEEDS_EITHER = "This needs the order's tracking token, or a staff key: Authorization: Bearer …."


class Authorizer:
    """Lets requests in by the rules."""

    def __init__(self, doors: Doors, credentials: Credentials) -> None:
        self.doors = doors
        self._credentials = credentials

    def install(self, app: Flask) -> None:
        """Stand before every view of `app`."""
        app.before_request(self._admit)
        app.after_request(_mark)

    def _admit(self) -> None:
        if request.endpoint is None or request.method == "OPTIONS":
            return
        permission = permission_of(request.endpoint)
        self.check_origin(request.environ, permission)
        if permission is Permission.PUBLIC:
            return
        try:
            g.caller = self._credentials.caller(request.environ, credential(request.environ))
            _check(permission, g.caller, (request.view_args or {}).get("number", ""))
        except (Unauthenticated, InvalidCredential, Forbidden) as refusal:
            refuse(refusal, request.environ)
        except DatabaseUnavailable:
            if permission is not Permission.MONITOR:
                raise

    def check_origin(self, environ: Mapping[str, Any], permission: Permission) -> None:
        """Refuse a change that a page of another site has its visitor's browser send.

        environ: a WSGI request; permission: of its operation. Raises Forbidden.
        """
        if environ["REQUEST_METHOD"] in _SAFE or not is_foreign(environ):
            return
        if not _is_harmless(environ, permission):
            refuse(Forbidden(_foreign_sentence(environ)), environ)

    def caller(self, environ: MutableMapping[str, Any]) -> Caller:
        """Who sends this WSGI request, by its header.

        Raises InvalidCredential, DatabaseUnavailable, Problem 429.
        """
        try:
            return self._credentials.caller(environ, bearer(environ))
        except InvalidCredential as refusal:
            refuse(refusal, environ)

    def guest(self, environ: MutableMapping[str, Any]) -> Caller:
        """The same for who places an order: nothing is looked at for one who shows nothing."""
        return self.caller(environ) if bearer(environ) is not None else ANYBODY

    def check_wishes(self, draft: OrderDraft, guest: Caller, environ: Mapping[str, Any]) -> None:
        """Let only staff hurry an order. Raises Unauthenticated, Forbidden."""
        wishes = staff_fields(draft)
        if not wishes or guest.staff or not self.doors.closed():
            return
        named = " and ".join(each.field for each in wishes)
        if guest.role is not None:
            has = f"this key has the role {guest.role}"
            refuse(Forbidden(f"{named} needs the role {STAFF}; {has}.", wishes), environ)
        if guest.number is not None:
            refuse(
                Forbidden(f"A tracking token is no staff key, which {named} needs.", wishes),
                environ,
            )
        refuse(Unauthenticated(f"An order with {named} needs a staff key.", wishes), environ)


def current() -> Caller:
    """Who sends the current request, in a view whose rule is not PUBLIC."""
    caller: Caller = g.caller
    return caller


def actor() -> Actor:
    """Who sends the current request, for the audit log, in a view whose rule is not PUBLIC."""
    return current().actor(address_of(request.environ))


def bearer(environ: Mapping[str, Any]) -> str | None:
    """What a WSGI request shows as `Authorization: Bearer`; None for anything else."""
    scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value else None


def session(environ: Mapping[str, Any]) -> str | None:
    """The session that a browser shows in its cookie; None for what cannot be one."""
    cookies, name = environ.get("HTTP_COOKIE", ""), cookie_name(environ)
    shown = parse_cookie(cookies).get(name) if name in cookies else None
    return shown if shown is not None and looks_like_session(shown) else None


def cookie_name(environ: Mapping[str, Any]) -> str:
    """The name of the session's cookie on this scheme and path; the other one is not looked at."""
    return HOST_COOKIE if is_https(environ) and not environ.get("SCRIPT_NAME") else COOKIE


def is_https(environ: Mapping[str, Any]) -> bool:
    """Whether the browser speaks HTTPS; a proxy that says so need not be a trusted one."""
    said = environ.get("HTTP_X_FORWARDED_PROTO")
    return environ.get("wsgi.url_scheme") == "https" or said == "https"


# Where a key or a token may stand; the first place that has something counts.
WAYS: tuple[Callable[[Mapping[str, Any]], str | None], ...] = (bearer, session)


def credential(environ: Mapping[str, Any]) -> str | None:
    """What a WSGI request shows, in whichever way; None for nothing."""
    return next((shown for way in WAYS if (shown := way(environ)) is not None), None)


def is_foreign(environ: Mapping[str, Any]) -> bool:
    """Whether a page of another site has its visitor's browser send this.

    A key or token in a header is proof that it has not. Browsers say where a request comes from;
    one with a session has to say it, what is no browser has neither.

    Over plain HTTP they say it by Origin alone. Origins in `--cors-origins` are not foreign.
    """
    if bearer(environ) is not None or is_listed(environ):
        return False
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None:
        return not _is_same(origin, environ)
    return session(environ) is not None


def _is_same(origin: str, environ: Mapping[str, Any]) -> bool:
    """Whether a browser's Origin is the address of this service."""
    scheme = origin.partition("://")[0]
    theirs = urlsplit(origin).netloc.lower()
    ours = str(environ.get("HTTP_HOST", "")).lower()
    usual = {"http": ":80", "https": ":443"}.get(scheme, "")
    if came_by_proxy(environ) and ":" not in ours:
        # A proxy that passes Host on without its port (nginx: `Host $host`).
        return theirs.partition(":")[0] == ours != ""
    return theirs != "" and theirs.removesuffix(usual) == ours.removesuffix(usual)


def _is_harmless(environ: Mapping[str, Any], permission: Permission) -> bool:
    """Whether a page may send this although it cannot be known whose page it is.

    A trusted proxy has replaced the name under which the browser knows this service. A session is
    proof then: the browser adds its cookie (SameSite=Strict) to no other site's request. What
    everybody may do uses no right of the browser's owner.
    """
    says_little = "HTTP_SEC_FETCH_SITE" not in environ and environ.get("HTTP_ORIGIN") != "null"
    if not says_little or not host_is_unknown(environ):
        return False
    return permission is Permission.PUBLIC or session(environ) is not None


def _foreign_sentence(environ: Mapping[str, Any]) -> str:
    origin, host = environ.get("HTTP_ORIGIN"), environ.get("HTTP_HOST")
    if origin in (None, "null") or "HTTP_SEC_FETCH_SITE" in environ:
        return _FOREIGN
    return (
        f"{_FOREIGN} It came from {origin}, and this service was addressed as {host}. If both are "
        "the same site, have the proxy pass Host on, and name the proxy in --trusted-proxies."
    )


def refuse(refusal: DomainError, environ: Mapping[str, Any]) -> NoReturn:
    """Log that somebody was turned away, with nothing that was shown, and raise it."""
    log.info(
        "Refused: %s", refusal,
        extra={"action": "access_denied",
               "details": {"error": type(refusal).__name__, "method": environ["REQUEST_METHOD"],
                           "client": address_of(environ)}},
    )  # fmt: skip
    raise refusal


def _check(permission: Permission, caller: Caller, number: str) -> None:
    if permission is Permission.PARTIAL or (
        permission is Permission.OWNER and caller.number == number
    ):
        return
    least = REQUIRED_ROLE[permission]
    if caller.may(least):
        return
    if caller.role is not None:
        raise Forbidden(f"This needs the role {least}; this key has the role {caller.role}.")
    if caller.number is None:
        raise Unauthenticated(_NEEDS_EITHER if permission is Permission.OWNER else _NEEDS_KEY)
    if permission is Permission.OWNER:
        raise Forbidden("This tracking token is that of another order.")
    raise Forbidden("This needs a staff key; a tracking token was shown.")


def _mark(response: Response) -> Response:
    """Keep an answer that depends on the caller out of shared caches."""
    response.headers.update(HEADERS)
    if "caller" in g:
        response.vary.update(("Authorization", "Cookie"))
    return response
