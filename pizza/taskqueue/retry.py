"""When a failed job is retried: exponential back-off with jitter."""

import random
import time
from dataclasses import dataclass
from datetime import timedelta

from pizza.taskqueue.deprecated import renamed_arguments
from pizza.taskqueue.errors import ConfigurationError, PoisonMessage


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a job is attempted, and the delays between the attempts.

    max_attempts: including the first one.
    initial_delay, multiplier, max_delay: the n-th delay is
        initial_delay * multiplier**(n-1) seconds, at most max_delay.
    jitter: the share of each delay that is random (0.5: between half of it and all).
    no_retry_on: exception types after which the job is not retried.
    """

    max_attempts: int = 5
    initial_delay: float = 1.0
    multiplier: float = 2.0
    max_delay: float = 300.0
    jitter: float = 0.5
    no_retry_on: tuple[type[Exception], ...] = (PoisonMessage,)

    def __post_init__(self) -> None:
        is_sound = self.max_attempts >= 1 and self.initial_delay >= 0 and self.multiplier >= 1
        if not is_sound or not 0 <= self.jitter <= 1:
            raise ConfigurationError(
                "a retry policy needs max_attempts >= 1, initial_delay >= 0, multiplier >= 1, "
                "jitter 0..1"
            )

    def should_retry(self, attempt: int, error: Exception) -> bool:
        """Whether to retry after attempt number `attempt` (from 1) failed with `error`."""
        return attempt < self.max_attempts and not isinstance(error, self.no_retry_on)

    def delay(self, attempt: int) -> timedelta:
        """How long to wait after attempt number `attempt` (from 1)."""
        full = min(self.max_delay, self.initial_delay * self.multiplier ** min(attempt - 1, 64))
        return timedelta(seconds=full * (1 - self.jitter * random.random()))  # noqa: S311


RetryPolicy.__init__ = renamed_arguments(  # type: ignore[method-assign]
    RetryPolicy.__init__,
    attempts="max_attempts",
    base="initial_delay",
    factor="multiplier",
    cap="max_delay",
    never="no_retry_on",
)


class Backoff:
    """Delays between attempts to reach a server: from 0.1 s, doubling to 2 s, with jitter.

    The longest delay is short, since clients wait that long after the server is back.
    """

    SHORTEST_S = 0.1
    LONGEST_S = 2.0

    def __init__(self) -> None:
        self._next = self.SHORTEST_S

    def reset(self) -> None:
        """The server answered: restart with the shortest delay."""
        self._next = self.SHORTEST_S

    def next(self, began: float | None = None) -> float:
        """The seconds to wait now.

        began: when the failed attempt began (time.monotonic()). After an attempt that lasted longer
        than LONGEST_S the delays restart with the shortest.
        """
        if began is not None and time.monotonic() - began > self.LONGEST_S:
            self.reset()
        wait, self._next = self._next, min(self.LONGEST_S, self._next * 2)
        return wait * random.uniform(0.5, 1.0)  # noqa: S311
