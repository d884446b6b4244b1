"""Headers that tell browsers and caches what they may do with an answer.

Everything is `no-store`, unless it is the same for everybody: names and tracking tokens stay in no
cache. Browsers that have come by HTTPS, directly or through a trusted proxy, keep to it (HSTS).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from flask import Flask, Response, request

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

# A year, as browsers and their preload lists want it. Other names of the domain are not ours.
HSTS = "max-age=31536000"
# Of a document that is no page: taken for one, it could load and run nothing.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_DATA = ("application/json", "application/problem+json")

# What is the same for everybody: the menu, health, the API's description, styles and scripts.
_PUBLIC = frozenset({"/menu", "/healthz", "/readyz", "/openapi.json", "/docs"})
_PUBLIC_FOLDERS = ("/docs/", "/static/")

# The API's description: Swagger UI is a package of its own, with one script in its page.
_DESCRIPTION = ("openapi.", "swagger.")
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_DESCRIPTION_POLICY = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The library's own page has an event handler in it, which a policy would have to allow.
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
    """Give the pages of the API's description a Content-Security-Policy."""
    app.config["OPENAPI_HTML_STRING"] = _INDEX
    app.after_request(_describe)


def _describe(response: Response) -> Response:
    described = (request.endpoint or "").startswith(_DESCRIPTION)
    if described and response.mimetype == "text/html":
        response.direct_passthrough = False
        response.headers["Content-Security-Policy"] = _policy(response.get_data(as_text=True))
    return response


@lru_cache(maxsize=8)
def _policy(page: str) -> str:
    """The policy of a page of the description. Nothing of a request is in its scripts."""
    scripts = "".join(f" 'sha256-{_digest(script)}'" for script in _INLINE.findall(page))
    return _DESCRIPTION_POLICY.format(scripts=scripts)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _is_public(environ: Environ) -> bool:
    path = environ["PATH_INFO"]
    is_known = path.rstrip("/") in _PUBLIC or path.startswith(_PUBLIC_FOLDERS)
    return is_known and environ["REQUEST_METHOD"] in ("GET", "HEAD")


def with_headers(app: Wsgi) -> Wsgi:
    """Wrap a WSGI application, below what reads the headers of proxies."""

    def answered(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_public = _is_public(environ)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            names = {name.lower(): value for name, value in headers}
            if not is_public:
                headers = [each for each in headers if each[0].lower() != "cache-control"]
                headers.append(("Cache-Control", "no-store"))
            kind = names.get("content-type", "").partition(";")[0]
            if kind in _DATA and "content-security-policy" not in names:
                headers.append(("Content-Security-Policy", DATA_POLICY))
            if environ["wsgi.url_scheme"] == "https":
                headers.append(("Strict-Transport-Security", HSTS))
            return start_response(status, headers, *more)

        return app(environ, start)

    return answered
