"""Cross-origin requests (CORS): pages of the origins in `--cors-origins` may use the API.

A listed origin may also send the session cookie, and change what this service's own pages may
change. `*` allows the pages of all sites, without a cookie.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pizza.web.wsgi import Environ, StartResponse, Wsgi

Headers = list[tuple[str, str]]

_ALL = "*"
_LISTED = "pizza.listed_origin"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    "traceparent"
)
_RESPONSE_HEADERS = "ETag, Idempotent-Replayed, Link, Location, Retry-After, WWW-Authenticate"
# How long a browser may cache the response to a preflight.
_MAX_AGE_SECONDS = "600"


def allow_origins(app: Wsgi, origins: Collection[str]) -> Wsgi:
    """Wrap a WSGI application: respond to preflights, add the headers to all other responses.

    origins: the value of `--cors-origins`. Without any the application is returned unchanged.
    """
    if not origins:
        return app

    def crossing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        allowed = _headers(environ.get("HTTP_ORIGIN"), origins)
        if environ.get("HTTP_ORIGIN") in origins:
            environ[_LISTED] = True
        if allowed and _is_preflight(environ):
            start_response("204 No Content", _preflight(allowed))
            return []

        def start(status: str, headers: Headers, *more: Any) -> Any:
            return start_response(status, [*headers, *allowed, *_VARY[_ALL in origins]], *more)

        return app(environ, start)

    return crossing


def is_listed(environ: Mapping[str, Any]) -> bool:
    """Whether a request comes from a page of a listed origin; `*` lists none."""
    return bool(environ.get(_LISTED))


# A response that names the origin must not be cached for another origin.
_VARY: dict[bool, Headers] = {True: [], False: [("Vary", "Origin")]}


def _headers(origin: str | None, origins: Collection[str]) -> Headers:
    """The headers that let pages of `origin` read a response; none for other origins."""
    exposed = ("Access-Control-Expose-Headers", _RESPONSE_HEADERS)
    if origin is None:
        return []
    if _ALL in origins:
        return [("Access-Control-Allow-Origin", _ALL), exposed]
    if origin not in origins:
        return []
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        exposed,
    ]


def _is_preflight(environ: Environ) -> bool:
    asked = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    return asked and environ["REQUEST_METHOD"] == "OPTIONS"


def _preflight(allowed: Headers) -> Headers:
    return [
        *(each for each in allowed if each[0] != "Access-Control-Expose-Headers"),
        ("Access-Control-Allow-Methods", _METHODS),
        ("Access-Control-Allow-Headers", _REQUEST_HEADERS),
        ("Access-Control-Max-Age", _MAX_AGE_SECONDS),
        ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]
