"""Types of WSGI applications (PEP 3333), and a base class for their input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


class WrappedInput:
    """A request's `wsgi.input` whose reads are made by `_call`."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        return self._call(self._source.read, size)

    def readline(self, size: int = -1) -> bytes:
        """As of a file."""
        return self._call(self._source.readline, size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        """As of a file."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _call(self, read: Callable[[int], bytes], size: int) -> bytes:
        return read(size)
