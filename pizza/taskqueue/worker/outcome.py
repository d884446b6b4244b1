"""How the executor has dealt with a delivery, and what the worker does next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How a delivery ended."""

    DONE = "done"  # the job has completed
    SKIPPED = "skipped"  # a duplicate, or not due: no effect
    BETTER = "better"  # a better message waits elsewhere; this delivery goes back
    RETRIED = "retried"  # failed or postponed, and due again later
    DEAD_LETTERED = "dead_lettered"  # failed for good: a dead letter
    ADOPTED = "adopted"  # came from outside; it is a message of ours now
    LEFT = "left"  # of a newer format; due again later, for a worker that knows it
    WITHDRAWN = "withdrawn"  # taken back by who sent it, while it ran
    LOST = "lost"  # taken over by another worker
    HANDED_BACK = "handed back"  # the worker stops; this delivery goes back


@dataclass(frozen=True, slots=True)
class Result:
    """What the worker does next: ack or requeue, and where to look for the next delivery."""

    outcome: Outcome
    next_queue: str | None = None

    @property
    def requeue(self) -> bool:
        """Whether the delivery goes back to its queue."""
        return self.outcome in (Outcome.BETTER, Outcome.HANDED_BACK)
