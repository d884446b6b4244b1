"""A limit per minute for each client, counted in the memory of one process."""

from __future__ import annotations

import threading

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from pizza.web.http.problems import Problem


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


def rate_limit_problem(sentence: str) -> Problem:
    """The response to a client over its limit: 429 with Retry-After."""
    return Problem(429, sentence, headers=(("Retry-After", "60"),))
