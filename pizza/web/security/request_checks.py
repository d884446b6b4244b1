"""Checks Host and the rate limit of every request before it is routed.

POST /orders, static files, unknown addresses and views pass the same checks. (Cross-site requests
are checked for each operation, by `Authorizer.check_origin`.)

A page whose host name resolves to this machine (DNS rebinding) is same-origin to a browser. Only
the host name distinguishes its requests from those of our own pages. While there is no staff key,
forwarded requests are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from pizza.config.parsers import is_loopback
from pizza.database.errors import DatabaseUnavailable
from pizza.taskqueue.logs import log_action
from pizza.web.http.problems import Problem, problem_for, send_problem
from pizza.web.security.forwarded import HOST
from pizza.web.security.proxies import host_is_unknown
from pizza.web.security.rate_limits import RateLimits
from pizza.web.wsgi import Environ, StartResponse, Wsgi

log = logging.getLogger(__name__)

_HEADER_NAMES = """
    Forwarded Via X-Real-IP X-Client-IP X-Cluster-Client-IP True-Client-IP X-Forwarded
    X-Forwarded-By X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix
    X-Forwarded-Proto X-Forwarded-Protocol X-Forwarded-Scheme X-Forwarded-Server X-Forwarded-Ssl
    X-Forwarded-Uri X-Original-Forwarded-For X-Original-Host X-Original-URL CDN-Loop
    CF-Connecting-IP CF-Connecting-IPv6 CF-IPCountry CF-Ray CF-Visitor Fastly-Client-IP
    Fly-Client-IP X-Appengine-User-IP X-Azure-ClientIP X-Envoy-External-Address X-ProxyUser-IP
    Tailscale-User-Login
"""
# Added by reverse proxies, tunnels and content delivery networks.
FORWARDING_HEADERS = frozenset(
    "HTTP_" + name.upper().replace("-", "_") for name in _HEADER_NAMES.split()
)
_NO_HOST = "An HTTP/1.1 request needs exactly one Host header that names a host."
_NOT_OURS = "This service does not answer to this host name."
_FORWARDED = (
    "This service has no staff key, so it answers no request that a proxy or tunnel has forwarded."
)


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


class HostCheck:
    """Checks Host and the forwarding headers of each request. One for each HTTP worker."""

    def __init__(
        self, allowed: tuple[str, ...] | None, authentication_required: Callable[[], bool]
    ) -> None:
        """allowed: `--allowed-hosts`, in lower case; None: any name once authentication is
        required, and until then only loopback names and addresses.

        authentication_required: whether there is a staff key; raises DatabaseUnavailable.
        """
        self._allowed = allowed
        self._required = authentication_required
        self._logged: set[str] = set()

    def check(self, environ: Mapping[str, Any]) -> None:
        """Raises Problem 400, 403 or 421.

        Raises DatabaseUnavailable if the result depends on whether there is a staff key and that
        is unknown.
        """
        name = self._name(environ)
        if not FORWARDING_HEADERS.isdisjoint(environ) and not self._required():
            text = (
                "A proxy or tunnel forwards requests to this service, which has no staff key: they "
                "are refused. Set STAFF_KEY and name the proxy in --trusted-proxies"
            )
            self._log_once("forwarded_without_key", text)
            raise Problem(403, _FORWARDED)
        if name is None or self._is_ours(name) or host_is_unknown(environ):
            return
        text = (
            f"Requests for the host {name!r} are refused; if it is a name of this service, add it "
            "to --allowed-hosts"
        )
        self._log_once("host_refused", text, host=name)
        raise Problem(421, _NOT_OURS)

    def _name(self, environ: Mapping[str, Any]) -> str | None:
        """The host in lower case without its port; None for HTTP/1.0 without the header."""
        host = environ.get("HTTP_HOST", "")
        if not host and environ.get("SERVER_PROTOCOL") in ("HTTP/1", "HTTP/1.0"):
            return None
        # The server joins the values of two headers with a comma, which no name has.
        if (name := _parse(host)) is None:
            raise Problem(400, _NO_HOST)
        return name

    def _is_ours(self, name: str) -> bool:
        if _is_local(name):
            return True
        if self._allowed is None:
            return self._required()
        return any(
            name.endswith(each[1:]) if each.startswith("*.") else name == each
            for each in self._allowed
        )

    def _log_once(self, action: str, text: str, **details: str) -> None:
        if action not in self._logged:
            self._logged.add(action)
            log_action(log.warning, action, text, details)


@lru_cache(maxsize=256)
def _parse(host: str) -> str | None:
    found = HOST.fullmatch(host)
    return found[1].lower().rstrip(".") or None if found else None


_is_local = lru_cache(maxsize=256)(is_loopback)
