"""Response headers for browsers and caches.

Everything is `no-store`, unless it is the same for every client: names and tracking tokens must not
be cached. Responses over HTTPS, directly or through a trusted proxy, have HSTS.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from flask import Flask, Response, request

from pizza.web.wsgi import Environ, Headers, StartResponse, Wsgi

# A year, as preload lists require. Other names of the domain are not ours.
HSTS = "max-age=31536000"
# A browser must not guess another type of content than the response has.
NOSNIFF = ("X-Content-Type-Options", "nosniff")
# For JSON: if a browser shows it as a page, it loads and runs nothing.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_DATA = ("application/json", "application/problem+json")

# The same for every client: the menu, health, the OpenAPI document, styles and scripts.
_PUBLIC = frozenset({"/menu", "/healthz", "/readyz", "/openapi.json", "/docs"})
_PUBLIC_FOLDERS = ("/docs/", "/static/")

# Swagger UI comes from a package, with one inline script.
_DOCS_ENDPOINTS = ("openapi.", "swagger.")
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The library's index page has an inline event handler, which a policy would have to allow.
_INDEX = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><title>Where's my pizza: API</title></head>
<body>
<p><a href="{{ url_for('swagger.swagger') }}">The API, to read and to try</a></p>
<p><a href="{{ url_for('openapi_json') }}">Its OpenAPI document</a></p>
</body>
</html>
"""


def install(app: Flask) -> None:
    """Add a Content-Security-Policy to Swagger UI."""
    app.config["OPENAPI_HTML_STRING"] = _INDEX
    app.after_request(_set_policy)


def _set_policy(response: Response) -> Response:
    is_docs = (request.endpoint or "").startswith(_DOCS_ENDPOINTS)
    if is_docs and response.mimetype == "text/html":
        response.direct_passthrough = False
        response.headers["Content-Security-Policy"] = _policy(response.get_data(as_text=True))
    return response


@lru_cache(maxsize=8)
def _policy(page: str) -> str:
    """The policy of a page of Swagger UI. Its scripts contain nothing of a request."""
    digests = (hashlib.sha256(each.encode()).digest() for each in _INLINE_SCRIPT.findall(page))
    scripts = "".join(f" 'sha256-{base64.b64encode(each).decode()}'" for each in digests)
    return _DOCS_POLICY.format(scripts=scripts)


def _is_public(environ: Environ) -> bool:
    path = environ["PATH_INFO"]
    is_known = path.rstrip("/") in _PUBLIC or path.startswith(_PUBLIC_FOLDERS)
    return is_known and environ["REQUEST_METHOD"] in ("GET", "HEAD")


def with_headers(app: Wsgi) -> Wsgi:
    """Wrap a WSGI application; has to be inside `behind_proxies`."""

    def answered(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        is_public = _is_public(environ)

        def start(status: str, headers: Headers, *more: Any) -> Any:
            names = {name.lower(): value for name, value in headers}
            if not is_public:
                headers = [each for each in headers if each[0].lower() != "cache-control"]
                headers.append(("Cache-Control", "no-store"))
            headers.append(NOSNIFF)
            kind = names.get("content-type", "").partition(";")[0]
            if kind in _DATA and "content-security-policy" not in names:
                headers.append(("Content-Security-Policy", DATA_POLICY))
            if environ["wsgi.url_scheme"] == "https":
                headers.append(("Strict-Transport-Security", HSTS))
            return start_response(status, headers, *more)

        return app(environ, start)

    return answered
