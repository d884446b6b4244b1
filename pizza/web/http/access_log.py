"""The access log, at DEBUG: one line for each request, written before the response is sent."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from pizza.web.wsgi import Wsgi

log = logging.getLogger(__name__)

_BEHIND_TRACK = re.compile(r"(track[/\\]+).*", re.IGNORECASE | re.DOTALL)
# A token elsewhere in the path.
_SECRET = re.compile(r"[0-9A-Za-z_.~-]*[0-9a-fA-F]{32}[0-9A-Za-z_.~-]*")


def access_log(app: Wsgi) -> Wsgi:
    """Wrap a WSGI application. (Granian logs after the response, so a stop may lose the line.)"""

    def logged(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started = time.monotonic()
        statuses: list[str] = []

        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            statuses.append(status[:3])
            return start_response(status, headers, *more)

        body = app(environ, begin)
        milliseconds = (time.monotonic() - started) * 1000
        log.debug(
            "%s %s: %s in %.1f ms",
            environ["REQUEST_METHOD"],
            _redact(environ["PATH_INFO"]),
            statuses[-1],
            milliseconds,
            extra={"action": "request", "duration_ms": round(milliseconds)},
        )
        return body

    return logged


def _redact(path: str) -> str:
    """The path without a tracking token, which is a credential.

    Mistyped paths (`//track/…`, `/Track/…`) contain it as well.
    """
    return _SECRET.sub("***", _BEHIND_TRACK.sub(r"\1***", path))
