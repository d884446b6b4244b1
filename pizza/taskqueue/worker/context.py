"""What a worker is told when it starts, and what it shares with its jobs."""

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
    """name: unique among registered workers; queues: the order has no meaning.

    grace: seconds that a job may still run after SIGTERM; lease: seconds that a claim
    outlives a worker that falls silent; heartbeat: seconds, with the broker; skills: take only
    messages that need nothing else (None: take any, also what needs no skill).
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
    """What a worker lends to its jobs.

    holder: the key of its session; lease: how long its claims outlive a silent worker;
    queues: all that it serves; interrupt: set to end a job's sleep early; abandon: set
    when the job has to be handed back; lost: set when its claim was seen to be lost; silent: set
    while PostgreSQL does not answer the worker's session; held: the message being worked on and its
    token, for the thread that renews the lease; deadline: when the job in hand has to be over
    (time.monotonic), None without a limit; promise:
    the position of the message that the database has promised to this worker's next job;
    begun: called once a job's message is claimed; withdrawn: the message that its sender was
    heard to take back; queue_array: the queues as a parameter.
    """

    worker_name: str
    holder: int
    lease: timedelta
    queues: Sequence[str]
    line: ReconnectingConnection
    interrupt: threading.Event = field(default_factory=threading.Event)
    abandon: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)
    silent: threading.Event = field(default_factory=threading.Event)
    held: tuple[UUID, int] | None = None
    deadline: float | None = None
    running: Job | None = None
    promise: int | None = None
    begun: Callable[[], None] = lambda: None
    withdrawn: UUID | None = None
    queue_array: str = field(init=False)

    def __post_init__(self) -> None:
        self.queue_array = text_array(self.queues)
