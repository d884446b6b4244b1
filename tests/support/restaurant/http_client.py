"""A small HTTP client: one connection for each request, as curl does it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back: `document` is the body read as JSON, `seconds` how long it took."""

    status: int
    headers: Mapping[str, str]
    document: Any
    seconds: float

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem+json document that repeats its status."""
        return (
            self.headers["content-type"] == "application/problem+json"
            and self.document["status"] == self.status
        )


class Client:
    """Speaks to one order service. Safe to use from many threads."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Answer:
        """GET a JSON document."""
        return self._request("GET", path, None)

    def order(self, meal: Mapping[str, Any]) -> Answer:
        """POST an order."""
        return self._request("POST", "/orders", json.dumps(meal))

    def post(
        self, path: str, document: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST a JSON document, or no body at all."""
        body = None if document is None else json.dumps(document)
        return self._request("POST", path, body, headers)

    def answers(self) -> bool:
        """Whether somebody listens, and has all it needs."""
        try:
            return self.get("/readyz").status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def _request(
        self, method: str, path: str, body: str | None, more: Mapping[str, str] | None = None
    ) -> Answer:
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            connection.request(
                method, path, body, {"Content-Type": "application/json", **(more or {})}
            )
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        seconds = time.monotonic() - started
        return Answer(response.status, headers, json.loads(content), seconds)
