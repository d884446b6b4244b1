"""The restaurant's HTTP API as a customer's program uses it: carefully."""

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = 0.2


class ApiError(RuntimeError):
    """The API refused, or did not answer in time; the message is one sentence."""


class Refused(ApiError):
    """The API understood and said no: a 4xx."""

    def __init__(self, message: str, status: int) -> None:
        """`status` is the HTTP status."""
        super().__init__(message)
        self.status = status


class AnswerLost(ApiError):
    """The connection broke after the request had been sent: whether it took effect is not known."""


class ApiClient:
    """Requests to one order service, each on a connection of its own."""

    def __init__(
        self, port: int, check: Callable[[], None] = lambda: None, staff_key: str = ""
    ) -> None:
        """`check` is called between tries; it may raise to end the waiting."""
        self.port = port
        self._staff = {"Authorization": f"Bearer {staff_key}"} if staff_key else {}
        self._check = check

    @property
    def url(self) -> str:
        """Where the service is."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, patience: float = 60.0) -> Any:
        """The JSON document at `path`, tried for `patience` through refusals, resets and 5xx."""
        deadline = time.monotonic() + patience
        while True:
            try:
                status, _, document = self.request("GET", path)
                if status == http.client.OK:
                    return document
                reason = f"{status} {document}"
                if status < http.client.INTERNAL_SERVER_ERROR:
                    raise ApiError(f"GET {path} was answered {reason}.")
            except (OSError, http.client.HTTPException) as error:
                reason = _words(error)
            if time.monotonic() > deadline:
                raise ApiError(f"GET {path} was not answered within {patience:.0f} s ({reason}).")
            self._pause(PAUSE_SECONDS)

    def post(self, path: str, document: Any, patience: float = 60.0, key: str = "") -> Any:
        """Create or change something; gives the service's document about it.

        `key` goes along as the Idempotency-Key; with it, what was sent twice has one effect.
        Sent again where the service asks for that (503, Retry-After) or nobody listened; with a
        key also when the answer was lost. Without one that raises AnswerLost.
        """
        deadline = time.monotonic() + patience
        while True:
            wait = PAUSE_SECONDS
            try:
                status, headers, answer = self.request("POST", path, json.dumps(document), key)
            except ConnectionRefusedError as error:
                reason = _words(error)
            except (OSError, http.client.HTTPException) as error:
                reason = _words(error)
                if not key:
                    raise AnswerLost(f"The answer to POST {path} was lost ({reason}).") from error
            else:
                if status in (http.client.CREATED, http.client.OK):
                    return answer
                reason = f"{status} {answer}"
                again = headers.get("Retry-After")
                if again is None and status < http.client.INTERNAL_SERVER_ERROR:
                    raise Refused(f"POST {path} was answered {reason}.", status)
                if again is None and status != http.client.SERVICE_UNAVAILABLE:
                    raise ApiError(f"POST {path} was answered {reason}.")
                wait = _seconds(again)
            if time.monotonic() > deadline:
                raise ApiError(f"POST {path} was not taken within {patience:.0f} s ({reason}).")
            self._pause(wait)

    def _pause(self, seconds: float) -> None:
        self._check()
        time.sleep(seconds)

    def request(
        self, method: str, path: str, body: str | None = None, key: str = ""
    ) -> tuple[int, http.client.HTTPMessage, Any]:
        """One try: status, headers and document. Raises OSError, http.client.HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            headers = dict(self._staff)
            if body:
                headers["Content-Type"] = "application/json"
            if key:
                headers["Idempotency-Key"] = key
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        try:
            document = json.loads(content)
        except ValueError:
            document = content.decode(errors="replace")
        return response.status, response.headers, document


def _seconds(retry_after: str | None) -> float:
    """How long an answer asks to wait, at most a second: here nobody else is in the line."""
    try:
        return min(1.0, float(retry_after or PAUSE_SECONDS))
    except ValueError:
        return PAUSE_SECONDS


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
