"""The report of a scenario: what it records while it runs, and what is found after it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from benchmarks.results import percentile


@dataclass(frozen=True)
class Latency:
    """One measured latency: of what, how many seconds, and how many are allowed."""

    what: str
    seconds: float
    limit: float

    def __str__(self) -> str:
        return f"{self.what} after {self.seconds:.2f} s, limit {self.limit:g} s"


@dataclass
class Report:
    """The result of one scenario. The fields of MUST_BE_EMPTY have to be empty.

    lost … disordered: orders by number; lost, doubled: also messages of the scenario itself.
    missed: changes that a subscriber did not receive.
    lost_at_broker: missed because the broker had confirmed them and then lost its disk.
    failures: orders that could not be placed at all, and guarantees that the scenario saw broken.
    denied: responses other than 201 where only 201 is right. late: limits of time exceeded.
    grown: memory and connections. recovery: the longest time from a recovery to full speed.
    drained: from the last recovery until the outbox of that moment was sent.
    hits, aimed: injections that happened at the intended moment, of how many.
    answers: seconds of 95 of 100 responses, and of the slowest.
    latencies: measured by the scenario; those that exceed their limit are `late`.
    """

    scenario: str
    seed: int
    seconds: float
    accepted: int = 0
    delivered: int = 0
    unanswered: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    overlapping: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    non_json_lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    grown: list[str] = field(default_factory=list)
    lost_at_broker: list[str] = field(default_factory=list)
    hits: int = 0
    aimed: int = 0
    answers: tuple[float, float] = (0.0, 0.0)
    recovery: float = 0.0
    drained: float = 0.0
    slowest: float = 0.0
    latencies: list[Latency] = field(default_factory=list)

    def record_attempt(self, hit: bool) -> None:
        """Count one injection that was meant for a moment, and whether it happened then."""
        self.aimed += 1
        self.hits += hit

    def fail(self, failure: str) -> None:
        """Record a broken guarantee that the database cannot show."""
        self.failures.append(failure)

    def record_latency(self, what: str, seconds: float, limit: float) -> None:
        """Record a measured latency and its limit, both in seconds."""
        self.latencies.append(Latency(what, seconds, limit))

    def record_percentile(self, what: str, seconds: Sequence[float], limit: float) -> None:
        """Record within which time 99 of 100 of these were done, and its limit."""
        self.record_latency(f"99 of 100 {what}", percentile(seconds or [0.0], 99), limit)

    @property
    def good(self) -> bool:
        """Whether every field of MUST_BE_EMPTY is empty."""
        return not any(getattr(self, name) for name in MUST_BE_EMPTY)

    def as_json(self) -> dict[str, Any]:
        """For the JSON file."""
        return asdict(self) | {"good": self.good}


_FIELDS = [each.name for each in fields(Report)]
MUST_BE_EMPTY = _FIELDS[_FIELDS.index("lost") : _FIELDS.index("grown") + 1]
