"""HTTP to the restaurant on this machine: single requests, and a client that repeats them."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import Any

TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = 0.2
HTTP_ERRORS = (OSError, HTTPException)


class ApiError(RuntimeError):
    """The API refused, or did not answer in time; the message is one sentence."""


class Refused(ApiError):
    """The API refused the request with a 4xx."""


class AnswerLost(ApiError):
    """The connection broke after the request had been sent: whether it took effect is not known."""


@dataclass(frozen=True)
class HttpResponse:
    """seconds: from the request until the body was read."""

    status: int
    headers: HTTPMessage
    body: bytes
    seconds: float = 0.0

    @property
    def document(self) -> Any:
        """The body as JSON, or as text if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode(errors="replace")


def send_request(
    port: int,
    method: str,
    path: str,
    body: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = TIMEOUT_SECONDS,
) -> HttpResponse:
    """One request on its own connection to 127.0.0.1. Raises HTTP_ERRORS."""
    began = time.monotonic()
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    return HttpResponse(response.status, response.headers, content, time.monotonic() - began)


class ApiClient:
    """A client of one order service.

    check: called between tries; it may raise to end the waiting.
    """

    def __init__(
        self, port: int, check: Callable[[], None] = lambda: None, staff_key: str = ""
    ) -> None:
        """staff_key: sent with each request, unless it is empty."""
        self.port = port
        self._staff = {"Authorization": f"Bearer {staff_key}"} if staff_key else {}
        self._check = check

    @property
    def url(self) -> str:
        """Where the service is."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, timeout: float = 60.0) -> Any:
        """The JSON document at `path`; repeated for `timeout` seconds. Raises ApiError."""
        return self._repeat("GET", path, None, timeout)

    def post(self, path: str, document: Any, timeout: float = 60.0, key: str = "") -> Any:
        """Create or change something; the service's document about it. Raises ApiError.

        Repeated for `timeout` seconds after a 503, a Retry-After or a refused connection; with a
        key, the Idempotency-Key, also after a lost answer. Without a key that raises AnswerLost.
        """
        return self._repeat("POST", path, document, timeout, key)

    def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        key: str = "",
        timeout: float = TIMEOUT_SECONDS,
    ) -> HttpResponse:
        """One try. key: the Idempotency-Key. Raises HTTP_ERRORS."""
        headers = self._staff | ({"Idempotency-Key": key} if key else {})
        headers |= {} if document is None else {"Content-Type": "application/json"}
        body = None if document is None else json.dumps(document)
        return send_request(self.port, method, path, body, headers, timeout=timeout)

    def _repeat(self, method: str, path: str, document: Any, timeout: float, key: str = "") -> Any:
        deadline = time.monotonic() + timeout
        while True:
            wait = PAUSE_SECONDS
            try:
                response = self.request(method, path, document, key)
            except HTTP_ERRORS as error:
                reason = str(error) or type(error).__name__
                repeatable = method == "GET" or key or isinstance(error, ConnectionRefusedError)
                if not repeatable:
                    text = f"The answer to {method} {path} was lost ({reason})."
                    raise AnswerLost(text) from error
            else:
                if response.status in (HTTPStatus.OK, HTTPStatus.CREATED):
                    return response.document
                reason = f"{response.status} {response.document}"
                again = response.headers.get("Retry-After")
                is_server_error = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                unavailable = response.status == HTTPStatus.SERVICE_UNAVAILABLE
                if not (again or unavailable or (method == "GET" and is_server_error)):
                    kind = ApiError if is_server_error else Refused
                    raise kind(f"{method} {path} was answered {reason}.")
                # At most a second: there are few other clients here.
                wait = min(1.0, float(again or PAUSE_SECONDS))
            if time.monotonic() > deadline:
                text = f"{method} {path} was not answered within {timeout:.0f} s ({reason})."
                raise ApiError(text)
            self._check()
            time.sleep(wait)
