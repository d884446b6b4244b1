"""Limits for each client: requests per minute, and open orders.

A client is an address (for IPv6 its /64 network; pizza.web.security.proxies). Staff with a key and
this machine are not limited. Each HTTP worker counts requests on its own, in memory, before they
are routed; the database counts open orders exactly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from pizza.auth.authenticator import Authenticator, Principal
from pizza.config.settings import Settings
from pizza.domain.order import ClientQuota
from pizza.web.http.problems import Problem
from pizza.web.security.proxies import client_of, network_of
from pizza.web.wsgi import Environ


class MinuteLimit:
    """At most `limit` hits per client in fixed windows of a minute. Thread-safe.

    The lock is needed: of two threads in the library's storage at the same time, one may start
    the other's timer, and fails with "threads can only be started once".
    """

    def __init__(self, limit: int) -> None:
        self._item = RateLimitItemPerMinute(limit)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._lock = threading.Lock()

    def hit(self, client: str) -> bool:
        """Count a hit; return False if the client has reached the limit in this minute."""
        with self._lock:
            return self._limiter.hit(self._item, client)

    def test(self, client: str) -> bool:
        """Whether another hit is allowed in this minute; counts nothing."""
        with self._lock:
            return self._limiter.test(self._item, client)


class RateLimits:
    """The limits of one HTTP worker."""

    def __init__(
        self, settings: Settings, authenticator: Authenticator, has_key: Callable[[Environ], bool]
    ) -> None:
        """has_key: whether a WSGI request shows a staff key; raises Problem 429."""
        self._settings = settings
        self._authenticator = authenticator
        self._has_key = has_key
        self._requests = MinuteLimit(settings.rate_limit) if settings.rate_limit else None

    def check_rate(self, environ: Environ) -> None:
        """Count a WSGI request for its client. Raises Problem 429.

        Also raises it if the client has sent too many wrong credentials and sends one more.
        """
        address = client_of(environ)
        if address is None or self._has_key(environ):
            return
        if self._requests is not None and not self._requests.hit(address):
            raise rate_limit_problem("Too many requests; try again in a minute.")

    def order_quota(self, environ: Mapping[str, Any], principal: Principal) -> ClientQuota | None:
        """The quota of open orders that applies to POST /orders; None if it is not limited."""
        if principal.has_key:
            return None
        address = client_of(environ)
        limit = self._settings.client_order_limit
        if address is None or limit == 0:
            return None
        return ClientQuota(
            self._authenticator.hash_address(address),
            limit,
            network_hash=self._authenticator.hash_address(network_of(address)),
        )

    def stream_client(self, environ: Environ) -> str | None:
        """The client that opens a stream; None for staff with a key and for this machine."""
        return None if self._has_key(environ) else client_of(environ)


def rate_limit_problem(sentence: str) -> Problem:
    """The response to a client over its limit: 429 with Retry-After."""
    return Problem(429, sentence, headers=(("Retry-After", "60"),))
