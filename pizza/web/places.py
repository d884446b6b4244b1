"""How many streams may be open: in this HTTP worker, and of these for one client."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from pizza.web.errors import Problem

_RETRY_SECONDS = 2
# One client may have a tenth.
_SHARE = 10


class Places:
    """Counts the open streams of this process."""

    def __init__(self, limit: int, look: Callable[[], None] = lambda: None) -> None:
        """look: called when somebody is refused; frees the places of those who are gone."""
        self.limit = limit
        self.per_client = max(1, limit // _SHARE)
        self._look = look
        self._lock = threading.Lock()
        self._taken = 0
        self._of_client: Counter[str] = Counter()

    def take(self, client: str | None) -> None:
        """Take a place; client: None for one that is not limited. Raises Problem 503."""
        with self._lock:
            full = self._taken >= self.limit
            many = client is not None and self._of_client[client] >= self.per_client
            if not full and not many:
                self._taken += 1
                if client is not None:
                    self._of_client[client] += 1
                return
        self._look()
        raise Problem(
            503,
            "As many streams are open as the order service holds; ask for the status instead."
            if full
            else "Too many streams are open from one place; close some of them.",
            headers=(("Retry-After", str(_RETRY_SECONDS)),),
        )

    def free(self, client: str | None) -> None:
        """Give a place back."""
        with self._lock:
            self._taken -= 1
            if client is not None:
                self._of_client[client] -= 1
                self._of_client += Counter()  # forgets who has none
