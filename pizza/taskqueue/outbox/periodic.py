"""Periodic tasks: run at an interval, in one process at a time.

The last run is recorded in a row, in the transaction of the run. So a restart or a new leader does
not run a task before it is due, and a failed run does not count.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.errors import ConfigurationError
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.outbox.leader_thread import LeaderThread

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/keeper")

# Limit for row locks, because other tasks wait behind a task.
_LOCK_TIMEOUT = "2s"
_STATEMENT_TIMEOUT_S = 300.0
_TICK_S = 0.1
# After a failure: the retry comes after the interval, or after this if it is shorter.
_RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """name: unique in the app; seconds: from one run to the next; run: gets an open transaction."""

    name: str
    seconds: float
    run: Callable[[BoundedConnection], object]

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ConfigurationError(f"periodic task {self.name} needs more than 0 seconds")


class PeriodicRunner(LeaderThread):
    """Runs a leader's periodic tasks one after the other, on its own connection."""

    def __init__(self, tasks: Iterable[PeriodicTask], db_url: str, *, name: str) -> None:
        super().__init__(db_url, name="periodic tasks", title=f"{name} periodic")
        self._tasks = tuple(tasks)
        self._due: dict[str, float] = {}

    def work(self, conn: BoundedConnection) -> None:
        """Run due tasks until `stop`."""
        conn.statement_timeout = _STATEMENT_TIMEOUT_S
        conn.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
        ages = dict(conn.execute(_SQL.periodic_last_runs).fetchall())
        now = time.monotonic()
        self._due = {
            task.name: now + task.seconds - min(task.seconds, ages.get(task.name, task.seconds))
            for task in self._tasks
        }
        while not self._stopping.is_set():
            for task in self._tasks:
                if time.monotonic() >= self._due[task.name] and not self._stopping.is_set():
                    self._run(conn, task)
            soonest = min(self._due.values(), default=now + _RETRY_S)
            if self._stopping.wait(min(1.0, max(_TICK_S / 10, soonest - time.monotonic()))):
                return
            if soonest - time.monotonic() > _TICK_S:
                conn.execute("select 1")  # detects a lost connection

    def _run(self, conn: BoundedConnection, task: PeriodicTask) -> None:
        self._due[task.name] = time.monotonic() + task.seconds
        claim = {"name": task.name, "interval": timedelta(seconds=task.seconds * 0.9)}
        try:
            with translate_errors(), conn.transaction():
                if conn.execute(_SQL.claim_periodic_run, claim).fetchone() is not None:
                    task.run(conn)
        except Exception as error:
            if conn.closed or (
                isinstance(error, DatabaseUnavailable)
                and not isinstance(error, DatabaseTransientError)
            ):
                raise
            pause = min(task.seconds, _RETRY_S)
            self._due[task.name] = time.monotonic() + pause
            log_action(
                log.warning,
                "periodic_task_failed",
                f"Periodic task {task.name} failed; its next run is in {pause:g} s: {error}",
                {"task": task.name},
                error=None if isinstance(error, DatabaseTransientError) else error,
            )
