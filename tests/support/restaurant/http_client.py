"""A small HTTP client: one connection for each request, as curl does it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from supervisor.api_client import HTTP_ERRORS, HttpResponse, send_request

TIMEOUT_S = 30.0
_JSON = {"Content-Type": "application/json"}


class Answer(HttpResponse):
    """A response: `document` is the body read as JSON, `seconds` how long it took."""

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem+json document that repeats its status."""
        return (
            self.headers["content-type"] == "application/problem+json"
            and self.document["status"] == self.status
        )

    @property
    def json(self) -> Any:
        """The body; fails when it is not JSON."""
        return json.loads(self.body)

    def problem(self) -> dict[str, Any]:
        """The body of an error; fails when the answer is not a proper problem+json."""
        assert self.is_problem, self.body[:300]
        document = self.json
        assert document["title"]
        assert document["detail"]
        assert "Traceback" not in document["detail"]
        return dict(document)


class Client:
    """Speaks to one order service. Safe to use from many threads."""

    def __init__(self, port: int) -> None:
        self.port = port

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on its own connection; adds no Content-Type."""
        found = send_request(self.port, method, path, body, headers, timeout=TIMEOUT_S)
        return Answer(**vars(found))

    def get(self, path: str) -> Answer:
        """GET a JSON document."""
        return self.request("GET", path)

    def order(self, meal: Mapping[str, Any]) -> Answer:
        """POST an order."""
        return self.post("/orders", meal)

    def post(
        self, path: str, document: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST a JSON document, or no body at all."""
        body = None if document is None else json.dumps(document)
        return self.request("POST", path, body, _JSON | dict(headers or {}))

    def answers(self) -> bool:
        """Whether the service listens, and is ready."""
        try:
            return self.get("/readyz").status == 200
        except HTTP_ERRORS:
            return False
