"""Authorizes each request by the permission of its operation, and refuses cross-site requests.

A key or tracking token comes as `Authorization: Bearer …`; a key also as the cookie of the session
that it opened (pizza.web.pages.login). Flask's views are checked before anything of the body is
read. POST /orders checks itself (pizza.web.api.place_order) and reads no cookie.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from werkzeug.http import parse_cookie

from pizza.auth.authenticator import ANONYMOUS, Authenticator, Principal, looks_like_session
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.actor import Actor
from pizza.domain.errors import DomainError, Forbidden, InvalidCredential, Unauthenticated
from pizza.domain.order import OrderDraft, restricted_fields
from pizza.domain.roles import STAFF
from pizza.web.http.cors import is_listed
from pizza.web.security.credentials import Credentials
from pizza.web.security.permissions import REQUIRED_ROLE, Permission, permission_of
from pizza.web.security.proxies import address_of, host_is_unknown, is_forwarded

log = logging.getLogger(__name__)

COOKIE = "pizza_staff"
# Over HTTPS and without a path prefix: no other host and no page over HTTP can set it.
HOST_COOKIE = f"__Host-{COOKIE}"
_SAFE = ("GET", "HEAD")
_CROSS_SITE = "This was sent by a page of another site, which may change nothing here."
_NEEDS_KEY = "This needs a staff key: Authorization: Bearer …."
_NEEDS_EITHER = "This needs the order's tracking token, or a staff key: Authorization: Bearer …."


class Authorizer:
    """Checks the permission of each request."""

    def __init__(self, authenticator: Authenticator, credentials: Credentials) -> None:
        self.authenticator = authenticator
        self._credentials = credentials

    def install(self, app: Flask) -> None:
        """Check before every view of `app`."""
        app.before_request(self._authorize)
        app.after_request(_set_cache_headers)

    def _authorize(self) -> None:
        if request.endpoint is None or request.method == "OPTIONS":
            return
        permission = permission_of(request.endpoint)
        self.check_origin(request.environ, permission)
        if permission is Permission.PUBLIC:
            return
        try:
            shown = credential_of(request.environ)
            g.principal = self._credentials.authenticate(request.environ, shown)
            _check(permission, g.principal, (request.view_args or {}).get("number", ""))
        except (Unauthenticated, InvalidCredential, Forbidden) as refusal:
            deny(refusal, request.environ)
        except DatabaseUnavailable:
            if permission is not Permission.MONITOR:
                raise

    def check_origin(self, environ: Mapping[str, Any], permission: Permission) -> None:
        """Refuse a cross-site request that changes something.

        environ: a WSGI request; permission: of its operation. Raises Forbidden.
        """
        if environ["REQUEST_METHOD"] in _SAFE or not is_cross_site(environ):
            return
        if not _is_allowed_without_origin(environ, permission):
            deny(Forbidden(_cross_site_message(environ)), environ)

    def principal_of(self, environ: MutableMapping[str, Any]) -> Principal:
        """The principal of a WSGI request, by its Authorization header; no lookup without one.

        Raises InvalidCredential, DatabaseUnavailable, Problem 429.
        """
        if (token := bearer_token(environ)) is None:
            return ANONYMOUS
        try:
            return self._credentials.authenticate(environ, token)
        except InvalidCredential as refusal:
            deny(refusal, environ)

    def has_key(self, environ: MutableMapping[str, Any]) -> bool:
        """Whether a WSGI request shows a valid staff key, or a session of one.

        Raises Problem 429.
        """
        shown = credential_of(environ)
        try:
            return shown is not None and self._credentials.authenticate(environ, shown).has_key
        except (InvalidCredential, DatabaseUnavailable):
            return False

    def check_restricted_fields(
        self, draft: OrderDraft, principal: Principal, environ: Mapping[str, Any]
    ) -> None:
        """Refuse fields of an order that only staff may set. Raises Unauthenticated, Forbidden."""
        restricted = restricted_fields(draft)
        if not restricted or principal.is_staff or not self.authenticator.auth_required():
            return
        named = " and ".join(each.field for each in restricted)
        if principal.role is not None:
            has = f"this key has the role {principal.role}"
            deny(Forbidden(f"{named} needs the role {STAFF}; {has}.", restricted), environ)
        if principal.number is not None:
            sentence = f"A tracking token is no staff key, which {named} needs."
            deny(Forbidden(sentence, restricted), environ)
        deny(Unauthenticated(f"An order with {named} needs a staff key.", restricted), environ)


def current_principal() -> Principal:
    """The principal of the current request, in a view whose permission is not PUBLIC."""
    principal: Principal = g.principal
    return principal


def current_actor() -> Actor:
    """The same, as the audit log records it with the client's address."""
    return current_principal().actor(address_of(request.environ))


def bearer_token(environ: Mapping[str, Any]) -> str | None:
    """The credential in `Authorization: Bearer` of a WSGI request; None without one."""
    scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value else None


def session_cookie(environ: Mapping[str, Any]) -> str | None:
    """The session in the cookie of a WSGI request; None for a value that cannot be one."""
    cookies, name = environ.get("HTTP_COOKIE", ""), cookie_name(environ)
    shown = parse_cookie(cookies).get(name) if name in cookies else None
    return shown if shown is not None and looks_like_session(shown) else None


def cookie_name(environ: Mapping[str, Any]) -> str:
    """The name of the session's cookie for this scheme and path; the other name is ignored."""
    return HOST_COOKIE if is_https(environ) and not environ.get("SCRIPT_NAME") else COOKIE


def is_https(environ: Mapping[str, Any]) -> bool:
    """Whether the browser uses HTTPS; X-Forwarded-Proto counts from any proxy."""
    schemes = (environ.get("wsgi.url_scheme"), environ.get("HTTP_X_FORWARDED_PROTO"))
    return "https" in schemes


def credential_of(environ: Mapping[str, Any]) -> str | None:
    """The credential of a WSGI request: its bearer token, else its session; None without one."""
    return bearer_token(environ) or session_cookie(environ)


def is_cross_site(environ: Mapping[str, Any]) -> bool:
    """Whether a page of another site may have had a browser send this (CSRF).

    A credential in a header proves the contrary, as does an origin of `--cors-origins`. Browsers
    name the origin of a request, over plain HTTP by Origin alone. A request with a session has to
    name it; a client that is no browser sends neither a session nor an origin.
    """
    if bearer_token(environ) is not None or is_listed(environ):
        return False
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None:
        return not _is_same_origin(origin, environ)
    return session_cookie(environ) is not None


def _is_same_origin(origin: str, environ: Mapping[str, Any]) -> bool:
    """Whether an Origin is the address of this service."""
    scheme = origin.partition("://")[0]
    theirs = urlsplit(origin).netloc.lower()
    ours = str(environ.get("HTTP_HOST", "")).lower()
    usual = {"http": ":80", "https": ":443"}.get(scheme, "")
    if is_forwarded(environ) and ":" not in ours:
        # A proxy that forwards Host without its port (nginx: `Host $host`).
        return theirs.partition(":")[0] == ours != ""
    return theirs != "" and theirs.removesuffix(usual) == ours.removesuffix(usual)


def _is_allowed_without_origin(environ: Mapping[str, Any], permission: Permission) -> bool:
    """Whether a change is allowed although the origin of the page cannot be checked.

    A trusted proxy has replaced the host name that the browser used. A session is proof then: its
    cookie is SameSite=Strict. A public operation uses no right of the browser's owner.
    """
    has_no_proof = "HTTP_SEC_FETCH_SITE" not in environ and environ.get("HTTP_ORIGIN") != "null"
    if not has_no_proof or not host_is_unknown(environ):
        return False
    return permission is Permission.PUBLIC or session_cookie(environ) is not None


def _cross_site_message(environ: Mapping[str, Any]) -> str:
    origin, host = environ.get("HTTP_ORIGIN"), environ.get("HTTP_HOST")
    if origin in (None, "null") or "HTTP_SEC_FETCH_SITE" in environ:
        return _CROSS_SITE
    return (
        f"{_CROSS_SITE} It came from {origin}, and this service was addressed as {host}. If both "
        "are the same site, have the proxy pass Host on, and name the proxy in --trusted-proxies."
    )


def deny(refusal: DomainError, environ: Mapping[str, Any]) -> NoReturn:
    """Log a refusal, without the credential, and raise it."""
    details = {
        "error": type(refusal).__name__,
        "method": environ["REQUEST_METHOD"],
        "client": address_of(environ),
    }
    log.info("Refused: %s", refusal, extra={"action": "access_denied", "details": details})
    raise refusal


def _check(permission: Permission, principal: Principal, number: str) -> None:
    if permission is Permission.PARTIAL or (
        permission is Permission.OWNER and principal.number == number
    ):
        return
    least = REQUIRED_ROLE[permission]
    if principal.has_role(least):
        return
    if principal.role is not None:
        raise Forbidden(f"This needs the role {least}; this key has the role {principal.role}.")
    if principal.number is None:
        raise Unauthenticated(_NEEDS_EITHER if permission is Permission.OWNER else _NEEDS_KEY)
    if permission is Permission.OWNER:
        raise Forbidden("This tracking token is that of another order.")
    raise Forbidden("This needs a staff key; a tracking token was shown.")


def _set_cache_headers(response: Response) -> Response:
    """Keep a response that depends on the credential out of shared caches."""
    if "principal" in g:
        response.vary.update(("Authorization", "Cookie"))
    return response
