"""Limits the open streams of an HTTP worker: in all, for each client, and for each network."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from pizza.web.http.problems import Problem
from pizza.web.security.proxies import network_of

_RETRY_SECONDS = 2
_LIMIT_REACHED = "As many streams are open as the order service holds; ask for the status instead."
_CLIENT_LIMIT_REACHED = "Too many streams are open from one place; close some of them."


class StreamLimiter:
    """Counts the open streams of this process. Thread-safe.

    One client may have a tenth of `limit`, the clients of one network a quarter. A tenth, rounded
    up, is reserved for staff with a key.
    """

    def __init__(self, limit: int, on_refusal: Callable[[], None] = lambda: None) -> None:
        """on_refusal: called when a stream is refused; has the hub detect lost clients."""
        self.limit = limit
        self.per_client = max(1, limit // 10)
        self.per_network = max(1, limit // 4)
        self.for_clients = limit - min(-(-limit // 10), max(0, limit - 1))
        self._on_refusal = on_refusal
        self._lock = threading.Lock()
        self._open = self._open_by_clients = 0
        self._of_client: Counter[str] = Counter()
        self._of_network: Counter[str] = Counter()

    def acquire(self, client: str | None) -> None:
        """Count one more stream. client: None for one that is not limited. Raises Problem 503."""
        with self._lock:
            refusal = self._refusal(client)
            if refusal is None:
                self._count(client, 1)
                return
        self._on_refusal()
        raise Problem(503, refusal, headers=(("Retry-After", str(_RETRY_SECONDS)),))

    def release(self, client: str | None) -> None:
        """Count one stream less."""
        with self._lock:
            self._count(client, -1)
            # Removes clients and networks without a stream.
            self._of_client += Counter()
            self._of_network += Counter()

    def _refusal(self, client: str | None) -> str | None:
        if self._open >= self.limit:
            return _LIMIT_REACHED
        if client is None:
            return None
        if (
            self._of_client[client] >= self.per_client
            or self._of_network[network_of(client)] >= self.per_network
        ):
            return _CLIENT_LIMIT_REACHED
        return _LIMIT_REACHED if self._open_by_clients >= self.for_clients else None

    def _count(self, client: str | None, change: int) -> None:
        self._open += change
        if client is not None:
            self._open_by_clients += change
            self._of_client[client] += change
            self._of_network[network_of(client)] += change
