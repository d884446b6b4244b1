"""Measured latencies, and how they are judged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """One measured latency: of what, how many seconds, and how many are allowed."""

    what: str
    seconds: float
    limit: float

    @property
    def exceeded(self) -> bool:
        """Whether it took longer than allowed."""
        return self.seconds > self.limit

    def __str__(self) -> str:
        return f"{self.what} after {self.seconds:.2f} s, limit {self.limit:g} s"


def percentile(values: Sequence[float], share: float = 0.99) -> float:
    """The value that `share` of the values do not exceed (nearest rank); 0 without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
