"""Checks Host and the rate limit of every request before it is routed.

POST /orders, static files, unknown addresses and views pass the same checks. (Cross-site requests
are checked for each operation, by `Authorizer.check_origin`.)
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from pizza.database.errors import DatabaseUnavailable
from pizza.web.http.problems import CONTENT_TYPE, Problem, problem_for
from pizza.web.security.authorization import HEADERS
from pizza.web.security.hosts import HostCheck
from pizza.web.security.rate_limits import RateLimits
from pizza.web.wsgi import Environ, StartResponse, Wsgi


def check_requests(app: Wsgi, hosts: HostCheck, limits: RateLimits) -> Wsgi:
    """Wrap a WSGI application: a request that fails a check receives a problem document."""

    def checked(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            hosts.check(environ)
            limits.check_rate(environ)
        except (Problem, DatabaseUnavailable) as error:
            return send_problem(problem_for(error), start_response)
        return app(environ, start_response)

    return checked


def send_problem(problem: Problem, start_response: StartResponse) -> list[bytes]:
    """Send a problem as the response to a WSGI request."""
    body = problem.body()
    headers = [
        ("Content-Type", CONTENT_TYPE),
        ("Content-Length", str(len(body))),
        *problem.headers,
        *HEADERS,
    ]
    start_response(f"{problem.status} {HTTPStatus(problem.status).phrase}", headers)
    return [body]
