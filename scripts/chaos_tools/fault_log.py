"""What a scenario notes while it runs, for the verdict."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from chaos_tools.checks.latency import Latency


@dataclass
class Journal:
    """What a storm notes for the verdict.

    struck, healed: when a server was taken away, and when something was mended.
    hits, aimed: blows that fell at the very moment they were meant for, of how many.
    complaints: promises of its own that a storm saw broken.
    spilled: ids of notifications that the broker had confirmed when it lost its disk.
    lost, doubled: messages of a scenario's own that had no effect, or more than one.
    latencies: what a scenario measured, each with its limit.
    """

    struck: list[datetime] = field(default_factory=list)
    healed: list[datetime] = field(default_factory=list)
    hits: int = 0
    aimed: int = 0
    complaints: list[str] = field(default_factory=list)
    spilled: set[str] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)

    def note_struck(self) -> None:
        """A server is taken away now."""
        self.struck.append(datetime.now(UTC))

    def note_healed(self) -> None:
        """Something was mended now: from here on the time of recovery counts."""
        self.healed.append(datetime.now(UTC))

    def note_hit(self, hit: bool) -> None:
        """One blow that was aimed at a moment, and whether it hit it."""
        self.aimed += 1
        self.hits += hit

    def complain(self, complaint: str) -> None:
        """A promise was broken that the database cannot tell of."""
        self.complaints.append(complaint)

    def record_latency(self, what: str, seconds: float, limit: float) -> None:
        """Record a measured latency and how long it may be, both in seconds."""
        self.latencies.append(Latency(what, seconds, limit))
