"""Measured latencies, and how they are judged."""

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
