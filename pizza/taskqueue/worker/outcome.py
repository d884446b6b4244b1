"""What the executor did with a delivery, and what the worker does next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How the processing of a delivery ended."""

    COMPLETED = "completed"  # the job has completed
    SKIPPED = "skipped"  # no effect: a duplicate, not due, or its row is locked
    PREEMPTED = "preempted"  # a better message waits in another queue; requeued
    RESCHEDULED = "rescheduled"  # failed or snoozed; due again later
    DEAD_LETTERED = "dead-lettered"  # failed for good
    ACCEPTED = "accepted"  # an external message, which has a row now
    DEFERRED = "deferred"  # its schema version is unknown here; due again for a newer worker
    CANCELLED = "cancelled"  # cancelled by its sender while it ran
    LEASE_LOST = "lease lost"  # taken over by another worker
    RELEASED = "released"  # the worker stops; requeued


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome, and the queue in which the best message waits, if the database named one."""

    outcome: Outcome
    next_queue: str | None = None

    @property
    def requeue(self) -> bool:
        """Whether to requeue the delivery instead of acknowledging it."""
        return self.outcome in (Outcome.PREEMPTED, Outcome.RELEASED)
