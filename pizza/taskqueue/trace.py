"""The current trace of this thread, a `traceparent` of W3C Trace Context.

One trace has everything that follows from one request. A request brings a traceparent or gets a
new one; messages carry it, and log lines have its id. There are no spans: a traceparent is passed
on unchanged.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

HEADER = "traceparent"

# version-trace-parent-flags. A version above 00 may have more fields; ff is invalid.
_FORM = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?"
)
_ID = slice(3, 35)

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def current() -> str | None:
    """The `traceparent` of this thread; None outside of a trace."""
    return _current.get()


def current_id() -> str | None:
    """The trace id of this thread: 32 hexadecimal digits."""
    found = _current.get()
    return found[_ID] if found else None


def read(given: object) -> str | None:
    """A `traceparent` in version 00; None for an invalid one, which the standard says to ignore."""
    match = _FORM.fullmatch(given) if isinstance(given, str) and len(given) <= 512 else None
    if match is None or (match[1] == "00" and match[3]):
        return None
    return f"00-{match[2]}"


def make() -> str:
    """A random `traceparent`, which starts a trace."""
    digits = os.urandom(24).hex()
    return f"00-{digits[:32]}-{digits[32:]}-01"


@contextmanager
def following(given: object) -> Iterator[None]:
    """Set the trace of this thread in the block: `given`, or a new one if it is invalid."""
    token = _current.set(read(given) or make())
    try:
        yield
    finally:
        _current.reset(token)


def each_request(app: Wsgi) -> Wsgi:
    """Wrap a WSGI application: each request continues the trace of its header or starts one."""

    def traced(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with following(environ.get("HTTP_TRACEPARENT")):
            return app(environ, start_response)

    return traced
