"""Turns every exception into application/problem+json (RFC 9457), without internal details."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from http import HTTPStatus
from typing import Any

import psycopg
from flask import Response
from werkzeug.exceptions import HTTPException

from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.domain.errors import (
    CapacityReached,
    ClientLimitReached,
    FieldError,
    Forbidden,
    IdempotencyConflict,
    IdempotencyKeyReused,
    IllegalTransition,
    InvalidCredential,
    InvalidOrder,
    InvalidRequest,
    KitchenPaused,
    NotFound,
    ReasonRequired,
    SoldOut,
    Unauthenticated,
    VersionConflict,
    WebhookDisabled,
)
from pizza.web.wsgi import StartResponse

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_DATABASE_SECONDS = 2
# At most so many field errors in one response.
MAX_ERRORS = 100
INVALID_ORDER = "The order is not valid."

_DETAILS = {
    400: "The request could not be understood.",
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    408: "The request has not come to its end in time.",
    413: "The body is too large.",
    414: "The address is too long.",
    500: "Something went wrong on our side; the order service has logged it.",
}


@dataclass(eq=False)
class Problem(Exception):
    """An error response: status, detail, a FieldError for each bad field, headers, extensions."""

    status: int
    detail: str
    _: KW_ONLY
    errors: Sequence[FieldError] = ()
    headers: Sequence[tuple[str, str]] = ()
    extensions: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.detail

    def body(self) -> bytes:
        """The problem+json document, on one line."""
        document: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.extensions,
        }
        if self.errors:
            document["errors"] = [asdict(each) for each in self.errors[:MAX_ERRORS]]
        return json.dumps(document).encode() + b"\n"


def problem_for(error: Exception) -> Problem:
    """The problem for an exception. Logs exceptions that are not expected."""
    for kind, handler in _HANDLERS.items():
        if isinstance(error, kind):
            return handler(error)
    log.error("Request failed", exc_info=error, extra={"action": "request_failed"})
    return Problem(500, _DETAILS[500])


def send_problem(problem: Problem, start_response: StartResponse) -> list[bytes]:
    """Send a problem as the response to a WSGI request."""
    body = problem.body()
    headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))]
    status = f"{problem.status} {HTTPStatus(problem.status).phrase}"
    start_response(status, [*headers, *problem.headers])
    return [body]


def handle_exception(error: Exception) -> Response:
    """Flask's error handler for any exception."""
    problem = problem_for(error)
    response = Response(problem.body(), problem.status, content_type=CONTENT_TYPE)
    response.headers.extend(problem.headers)
    return response


def _retry_later(status: int, error: Any) -> Problem:
    return Problem(status, str(error), headers=_retry_after(error.retry_after_seconds))


def _unauthorized(error: Exception, errors: Sequence[FieldError] = (), reason: str = "") -> Problem:
    headers = [("WWW-Authenticate", f'Bearer realm="pizza"{reason}')]
    return Problem(401, str(error), errors=errors, headers=headers)


def _no_database(detail: str) -> Problem:
    return Problem(503, detail, headers=_retry_after(RETRY_DATABASE_SECONDS))


def _schema_missing(error: psycopg.Error) -> Problem:
    log.error(
        "The database lacks tables or columns: run --setup-db", extra={"action": "schema_missing"}
    )
    return _no_database("The database of the order service is not set up yet.")


def _from_werkzeug(error: HTTPException) -> Problem:
    code = error.code or 500
    methods = getattr(error, "valid_methods", None)
    headers = [("Allow", ", ".join(sorted(methods)))] if methods else []
    return Problem(code, _DETAILS.get(code, f"{HTTPStatus(code).phrase}."), headers=headers)


def _retry_after(seconds: int) -> list[tuple[str, str]]:
    return [("Retry-After", str(max(1, seconds)))]


# The first type that matches handles the exception.
_HANDLERS: dict[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda problem: problem,
    InvalidOrder: lambda error: Problem(422, INVALID_ORDER, errors=error.errors),
    InvalidRequest: lambda error: Problem(422, "The request is not valid.", errors=error.errors),
    NotFound: lambda error: Problem(404, str(error)),
    CapacityReached: lambda error: _retry_later(503, error),
    KitchenPaused: lambda error: _retry_later(503, error),
    ClientLimitReached: lambda error: _retry_later(429, error),
    IdempotencyConflict: lambda error: _retry_later(409, error),
    Unauthenticated: lambda error: _unauthorized(error, error.errors),
    InvalidCredential: lambda error: _unauthorized(error, reason=', error="invalid_token"'),
    Forbidden: lambda error: Problem(403, str(error), errors=error.errors),
    SoldOut: lambda error: Problem(409, str(error), errors=[FieldError("items", str(error))]),
    IdempotencyKeyReused: lambda error: Problem(
        422, str(error), errors=[FieldError("Idempotency-Key", "belongs to another order")]
    ),
    WebhookDisabled: lambda error: Problem(409, str(error)),
    IllegalTransition: lambda error: Problem(
        409,
        str(error),
        extensions={"current_status": error.current, "allowed_statuses": list(error.allowed)},
    ),
    ReasonRequired: lambda error: Problem(
        422, str(error), errors=[FieldError("reason", "is required for this change")]
    ),
    VersionConflict: lambda error: Problem(412, str(error), extensions={"version": error.current}),
    DatabaseTransientError: lambda error: _no_database(
        "The database of the order service cannot do this at the moment; try again soon."
    ),
    DatabaseUnavailable: lambda error: _no_database(
        "The order service cannot reach its database; try again soon."
    ),
    psycopg.errors.UndefinedTable: _schema_missing,
    psycopg.errors.UndefinedFunction: _schema_missing,
    psycopg.errors.UndefinedColumn: _schema_missing,
    HTTPException: _from_werkzeug,
}
