"""Types of WSGI applications (PEP 3333), and what the layers around the application share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class WatchedInput:
    """A request's `wsgi.input`. Each read runs in a context of `watch`."""

    source: Any
    watch: Callable[[], AbstractContextManager[object]]

    def read(self, size: int = -1) -> bytes:
        """As of a file; the only method that pizza.web.http.request_body calls."""
        with self.watch():
            content: bytes = self.source.read(size)
            return content


def add_headers(start_response: StartResponse, added: Headers) -> StartResponse:
    """A `start_response` that adds headers to the response."""

    def start(status: str, headers: Headers, *more: Any) -> Any:
        return start_response(status, [*headers, *added], *more)

    return start
