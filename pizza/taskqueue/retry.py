"""When a failed job is tried again: exponential back-off with full-range jitter."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import timedelta

from pizza.taskqueue.errors import ConfigurationError, PoisonMessage


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long apart.

    attempts: how many in all, the first included.
    base, factor, cap: the n-th wait is base * factor**(n-1) seconds, at most cap.
    jitter: the share of each wait that is random (0.5: between half of it and all).
    never: exception types that are not worth another attempt.
    """

    attempts: int = 5
    base: float = 1.0
    factor: float = 2.0
    cap: float = 300.0
    jitter: float = 0.5
    never: tuple[type[Exception], ...] = (PoisonMessage,)

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.base < 0 or self.factor < 1 or not 0 <= self.jitter <= 1:
            raise ConfigurationError(
                "a retry policy needs attempts >= 1, base >= 0, factor >= 1, jitter 0..1"
            )

    def again(self, attempt: int, error: Exception) -> bool:
        """Whether attempt number `attempt` (from 1), ended by `error`, is followed by another."""
        return attempt < self.attempts and not isinstance(error, self.never)

    def delay(self, attempt: int) -> timedelta:
        """How long to wait after attempt number `attempt` (from 1)."""
        longest = min(self.cap, self.base * self.factor ** min(attempt - 1, 64))
        return timedelta(seconds=longest * (1 - self.jitter * random.random()))  # noqa: S311


class Backoff:
    """Waits between tries to reach a server: doubling from 0.1 s to at most 2 s, with jitter.

    No longer: the longest wait is what a server that is back still has to wait for its clients.
    """

    SHORTEST_S = 0.1
    LONGEST_S = 2.0

    def __init__(self) -> None:
        self._next = self.SHORTEST_S

    def reset(self) -> None:
        """The server answered: begin again with the shortest wait."""
        self._next = self.SHORTEST_S

    def next(self) -> float:
        """The seconds to wait now."""
        wait, self._next = self._next, min(self.LONGEST_S, self._next * 2)
        return wait * random.uniform(0.5, 1.0)  # noqa: S311


class Repeated:
    """Decides when a trouble that stays is logged again: each sentence once a minute.

    That a server is not available is one sentence, whatever the driver says of it.
    """

    INTERVAL_S = 60.0

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def is_due(self, error: object) -> bool:
        """Whether to log this error now."""
        text, now = str(error).partition(" is not available:")[0], time.monotonic()
        if now - self._said_at.get(text, -self.INTERVAL_S) < self.INTERVAL_S:
            return False
        self._said_at[text] = now
        return True

    def is_over(self) -> bool:
        """The trouble is over; whether there was one."""
        was = bool(self._said_at)
        self._said_at.clear()
        return was
