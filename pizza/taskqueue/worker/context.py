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

if TYPE_CHECKING:
    from pizza.taskqueue.job import Job


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker.

    name: unique among registered workers. queues: the order has no meaning.
    grace: seconds that a job may still run after SIGTERM.
    lease: seconds that a claim stays valid without a renewal.
    heartbeat: seconds between heartbeats with the broker.
    relay: whether to run a relay in this process.
    skills: the worker's tags; it processes only messages that require some of them and no other
        tag. None: it processes every message.
    """

    name: str
    queues: Sequence[str]
    grace: float = 15.0
    lease: float = 15.0
    heartbeat: int = HEARTBEAT_S
    relay: bool = True
    skills: frozenset[str] | None = None


@dataclass(slots=True)
class WorkerContext:
    """What a worker, its session thread and its job share.

    worker_id: the id of the worker's session. lease: how long a claim stays valid.
    queues: the queues whose messages are compared when one is claimed.
    db: the connection of the job thread.

    Written by the main thread:
    release_requested: set when the job has to stop and release its message.
    sleep_interrupt: set, by the session thread too, to end a job's sleep.

    Written by the session thread:
    lease_lost: set when another worker has the message. database_silent: set while PostgreSQL
    does not answer the session. cancelled_id: the message whose cancellation was notified.

    Written by the job thread:
    current_claim: id and token of the claimed message. current_job: the running job.
    deadline: time.monotonic() at which the job exceeds its time limit; None without a limit.
    reservation: the position of the message that the database reserved for the next job.
    on_claimed: called when a message is claimed.
    """

    worker_name: str
    worker_id: int
    lease: timedelta
    queues: Sequence[str]
    db: ReconnectingConnection
    sleep_interrupt: threading.Event = field(default_factory=threading.Event)
    release_requested: threading.Event = field(default_factory=threading.Event)
    lease_lost: threading.Event = field(default_factory=threading.Event)
    database_silent: threading.Event = field(default_factory=threading.Event)
    current_claim: tuple[UUID, int] | None = None
    deadline: float | None = None
    current_job: Job | None = None
    reservation: int | None = None
    on_claimed: Callable[[], None] = lambda: None
    cancelled_id: UUID | None = None
    queue_array: str = field(init=False)  # `queues` as an SQL parameter

    def __post_init__(self) -> None:
        self.queue_array = text_array(self.queues)
