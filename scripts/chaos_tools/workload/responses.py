"""The responses to orders, and how soon they came."""

import threading
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus

from benchmarks.results import percentile


@dataclass(frozen=True)
class Response:
    """status: the HTTP status, 0 for none. seconds: until it was there, or given up."""

    status: int
    seconds: float
    timed_out: bool = False


class Responses:
    """All responses of a scenario; thread-safe."""

    def __init__(self) -> None:
        self._all: list[Response] = []
        self._lock = threading.Lock()

    def add(self, answer: Response) -> None:
        """Add one."""
        with self._lock:
            self._all.append(answer)

    def denied(self) -> list[str]:
        """Responses other than 201, for scenarios in which every order has to be accepted."""
        counts = Counter(each.status for each in self._all if each.status != HTTPStatus.CREATED)
        return [
            f"{status or 'no answer'} ×{count}"
            for status, count in sorted(counts.items())
            for _ in range(count)
        ]

    def seconds(self) -> tuple[float, float]:
        """Within which time 95 of 100 were answered, and the last one.

        A connection that breaks does not count: its client retries at once. One without an answer
        counts with its time-out.
        """
        times = sorted(each.seconds for each in self._all if each.status or each.timed_out)
        return (percentile(times, 95), times[-1]) if times else (0.0, 0.0)
