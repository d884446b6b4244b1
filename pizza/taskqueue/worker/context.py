"""A worker's options, and the state that it shares with its jobs and its session thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from pizza.database.arrays import text_array
from pizza.taskqueue.broker.connection import HEARTBEAT_S
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.deprecated import renamed_arguments

if TYPE_CHECKING:
    from pizza.taskqueue.job import Job

Claim = tuple[UUID, int]
"""The id of a claimed message, and the fencing token of the claim."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker.

    name: unique among registered workers. queues: the order has no meaning.
    grace: seconds that a job may still run after SIGTERM.
    lease: seconds that a claim stays valid without a renewal.
    heartbeat: seconds between heartbeats with the broker.
    relay: whether to run a relay in this process.
    tags: the worker's tags; it processes only messages that require some of them and no other
        tag. None: it processes every message.
    """

    name: str
    queues: Sequence[str]
    grace: float = 15.0
    lease: float = 15.0
    heartbeat: int = HEARTBEAT_S
    relay: bool = True
    tags: frozenset[str] | None = None


WorkerOptions.__init__ = renamed_arguments(  # type: ignore[method-assign]
    WorkerOptions.__init__, skills="tags"
)


@dataclass(slots=True)
class WorkerContext:
    """What a worker's threads share: main thread, session thread and work thread (the job's).

    One thread writes each field; the others read it. worker_id: the id of the worker's session.
    lease: how long a claim stays valid. queues: the queues whose messages are compared when one is
    claimed. db: the connection of the work thread. on_claimed: called in the work thread when a
    message is claimed.

    Written by the main thread: release_requested, set when the job has to stop and release its
    message.
    Written by the session thread: lost_claim, the claim that another worker has taken over or that
    was cancelled; cancelled_id, the message whose cancellation was notified; database_silent, set
    while PostgreSQL does not answer the session.
    Written by the work thread: current_job; reservation, the position of the message that the
    database reserved for the next job.
    A signal: sleep_interrupt ends the job's sleep. Main and session thread set it, the work thread
    clears it.
    """

    worker_name: str
    worker_id: int
    lease: timedelta
    queues: Sequence[str]
    db: ReconnectingConnection
    on_claimed: Callable[[], None] = lambda: None
    release_requested: threading.Event = field(default_factory=threading.Event)
    lost_claim: Claim | None = None
    cancelled_id: UUID | None = None
    database_silent: threading.Event = field(default_factory=threading.Event)
    current_job: Job | None = None
    reservation: int | None = None
    sleep_interrupt: threading.Event = field(default_factory=threading.Event)
    queue_array: str = field(init=False)  # `queues` as an SQL parameter

    def __post_init__(self) -> None:
        self.queue_array = text_array(self.queues)

    @property
    def current_claim(self) -> Claim | None:
        """The claim of the running job. Any thread."""
        job = self.current_job
        return job.held_claim if job is not None else None
