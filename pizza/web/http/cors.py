"""Cross-origin requests (CORS): pages of the origins in `--cors-origins` may use the API.

A listed origin may also send the session cookie, and change what this service's own pages may
change. `*` allows the pages of all sites, without a cookie.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pizza.web.wsgi import Environ, Headers, StartResponse, Wsgi, add_headers

_ALL = "*"
_LISTED = "pizza.listed_origin"
_REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    "traceparent"
)
_RESPONSE_HEADERS = "ETag, Idempotent-Replayed, Link, Location, Retry-After, WWW-Authenticate"
_EXPOSED = ("Access-Control-Expose-Headers", _RESPONSE_HEADERS)
_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
    ("Access-Control-Allow-Headers", _REQUEST_HEADERS),
    # How many seconds a browser may cache the response to a preflight.
    ("Access-Control-Max-Age", "600"),
    ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
)


def allow_origins(app: Wsgi, origins: Collection[str]) -> Wsgi:
    """Wrap a WSGI application: respond to preflights, add the headers to all other responses.

    origins: the value of `--cors-origins`. Without any the application is returned unchanged.
    """
    if not origins:
        return app
    # A response that names the origin must not be cached for another origin.
    vary = [] if _ALL in origins else [("Vary", "Origin")]

    def crossing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        allowed = _allowed(origin, origins)
        if origin in origins:
            environ[_LISTED] = True
        if allowed and _is_preflight(environ):
            start_response("204 No Content", [*allowed, *_PREFLIGHT])
            return []
        exposed = [_EXPOSED] if allowed else []
        return app(environ, add_headers(start_response, [*allowed, *exposed, *vary]))

    return crossing


def is_listed(environ: Mapping[str, Any]) -> bool:
    """Whether a request comes from a page of a listed origin; `*` lists none."""
    return bool(environ.get(_LISTED))


def _allowed(origin: str | None, origins: Collection[str]) -> Headers:
    """The headers that let pages of `origin` read a response; none for other origins."""
    if origin is not None and _ALL in origins:
        return [("Access-Control-Allow-Origin", _ALL)]
    if origin is None or origin not in origins:
        return []
    return [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]


def _is_preflight(environ: Environ) -> bool:
    asked = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    return asked and environ["REQUEST_METHOD"] == "OPTIONS"
