"""A client of server-sent events, as a browser is one, that can be cut off."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Event:
    """One event: its id ("" without), kind and data."""

    id: str
    kind: str
    data: Any


class EventStream:
    """An open stream; `status` and `headers` of its answer, then its events."""

    def __init__(
        self, port: int, path: str, headers: Mapping[str, str] | None = None, timeout: float = 30.0
    ) -> None:
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._link.request("GET", path, headers=dict(headers or {}))
        self._answer = self._link.getresponse()
        self.status = self._answer.status
        self.headers = self._answer.headers
        self.comments: list[str] = []
        self.retry = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def next(self) -> Event | None:
        """Wait for the next event; None at a proper end of the answer."""
        fields: dict[str, str] = {}
        while line := self._answer.readline():
            text = line.decode().rstrip("\n")
            if text.startswith(":"):
                self.comments.append(text)
            elif text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            else:
                self.retry = fields.pop("retry", self.retry)
        return None

    def take(self, count: int) -> list[Event]:
        """The next `count` events."""
        found = [self.next() for _ in range(count)]
        assert None not in found, found
        return [event for event in found if event is not None]

    def rest(self) -> bytes:
        """All that still comes; raises http.client.IncompleteRead for an answer that is cut off."""
        return self._answer.read()

    def cut(self) -> None:
        """Go away, as a telephone in a tunnel does."""
        with contextlib.suppress(OSError):
            self._answer.close()
            self._link.close()
