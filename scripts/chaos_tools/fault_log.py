"""What a scenario records while it runs, for the report."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


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


@dataclass
class FaultLog:
    """What a scenario records for the report.

    injected, recovered: when a server was taken away, and when something recovered.
    hits, aimed: injections that happened at the intended moment, of how many.
    failures: guarantees that the scenario itself saw broken.
    lost_at_broker: ids of notifications that the broker had confirmed when it lost its disk.
    lost, doubled: messages of the scenario itself that had no effect, or more than one.
    latencies: what the scenario measured, each with its limit.
    """

    injected: list[datetime] = field(default_factory=list)
    recovered: list[datetime] = field(default_factory=list)
    hits: int = 0
    aimed: int = 0
    failures: list[str] = field(default_factory=list)
    lost_at_broker: set[str] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)

    def record_injection(self) -> None:
        """A server is taken away now."""
        self.injected.append(datetime.now(UTC))

    def record_recovery(self) -> None:
        """Something has recovered now: the time to full speed counts from here."""
        self.recovered.append(datetime.now(UTC))

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
