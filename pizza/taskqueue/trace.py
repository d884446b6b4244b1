"""The trace that this thread works for, as W3C Trace Context has it: `traceparent`.

One trace is all that follows from one request: it comes in with the request (or is made for it),
goes with each message, and is in every log line that is written meanwhile. We make no spans, so
what came in is passed on as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

HEADER = "traceparent"

# version-trace-parent-flags. A version above 00 may have more behind these; ff is none.
_FORM = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?"
)
_ID = slice(3, 35)

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def current() -> str | None:
    """The `traceparent` of what this thread is doing, if it does something for anybody."""
    return _current.get()


def current_id() -> str | None:
    """Its trace id: 32 hexadecimal digits."""
    found = _current.get()
    return found[_ID] if found else None


def read(given: object) -> str | None:
    """A `traceparent` in version 00; None for what is none, which the standard has us ignore."""
    match = _FORM.fullmatch(given) if isinstance(given, str) and len(given) <= 512 else None
    if match is None or (match[1] == "00" and match[3]):
        return None
    return f"00-{match[2]}"


def make() -> str:
    """The beginning of a trace."""
    digits = os.urandom(24).hex()
    return f"00-{digits[:32]}-{digits[32:]}-01"


@contextmanager
def following(given: object) -> Iterator[None]:
    """In the block this thread works for the trace `given`, or for a new one."""
    token = _current.set(read(given) or make())
    try:
        yield
    finally:
        _current.reset(token)


def each_request(app: Wsgi) -> Wsgi:
    """Wrap a WSGI application: each request belongs to the trace that it names, or to its own."""

    def traced(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with following(environ.get("HTTP_TRACEPARENT")):
            return app(environ, start_response)

    return traced
