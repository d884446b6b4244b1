"""Stand-ins for threads, clocks and sockets, put in the place of the framework's own.

The framework's modules name what they use of the outside (`time`, `threading`, `connect`,
`BrokerConnection` …). Those names are replaced; the logic runs unchanged. Some timeouts are
shorter, so a schedule has few steps. One simulation at a time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pizza.database import application, connection
from pizza.taskqueue import db_session, job, logs, retry, service
from pizza.taskqueue.broker import publisher
from pizza.taskqueue.dead_letters import importer
from pizza.taskqueue.outbox import (
    batch,
    keeper,
    leader_thread,
    periodic,
    reconnecting_publisher,
    relay,
    republisher,
    rescuer,
    vacuum,
)
from pizza.taskqueue.retry import RetryPolicy
from pizza.taskqueue.worker import executor, session, worker

from .connection import Connection
from .guards import taken_out
from .link import SimulatedBroker
from .scheduler import Fiber, Killed, Scheduler, Waiters

if TYPE_CHECKING:
    from .world import World


class _Now:
    """The simulation that is running."""

    world: World


now = _Now()


def _scheduler() -> Scheduler:
    return now.world.scheduler


class Event:
    """threading.Event, and lifecycle.Waker, whose `wait` forgets."""

    def __init__(self) -> None:
        self._flag = False
        self.waiters: Waiters = []

    def is_set(self) -> bool:
        return self._flag

    def set(self) -> None:
        self._flag = True
        _scheduler().wake(self.waiters)

    def clear(self) -> None:
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._flag:
            _scheduler().block(timeout, self.waiters)
        return self._flag


class Waker(Event):
    def wait(self, timeout: float | None = None) -> bool:
        found = super().wait(timeout)
        self.clear()
        return found


class Shutdown:
    """lifecycle.Shutdown without signals."""

    def __init__(self) -> None:
        self._event = Event()
        self.wake = Waker()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float) -> bool:
        return self._event.wait(timeout)

    def set(self) -> None:
        self._event.set()
        self.wake.set()

    def install_handlers(self) -> None:
        """Signals come from the world."""

    def ignore_signals(self) -> None:
        """None will come."""


class Lock:
    """threading.Lock."""

    def __init__(self) -> None:
        self._taken = False
        self._waiters: Waiters = []

    def acquire(self, blocking: bool = True) -> bool:
        while self._taken:
            if not blocking:
                return False
            _scheduler().block(None, self._waiters)
        self._taken = True
        return True

    def release(self) -> None:
        self._taken = False
        _scheduler().wake(self._waiters)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_error: object) -> None:
        self.release()


class Thread:
    """threading.Thread as a fiber of the process that starts it."""

    def __init__(self, *, target: Any, name: str, daemon: bool) -> None:
        self._target, self._name = target, name
        self._fiber: Fiber | None = None

    def start(self) -> None:
        self._fiber = _start(self._name, self._target)

    def is_alive(self) -> bool:
        return self._fiber is not None and not self._fiber.ended

    def join(self, timeout: float) -> None:
        _join(self, timeout)


def _start(name: str, run: Any) -> Fiber:
    scheduler = _scheduler()
    assert scheduler.current is not None
    return scheduler.spawn(scheduler.current.process, name, run)


def _join(thread: Any, timeout: float) -> None:
    scheduler = _scheduler()
    until = scheduler.now + timeout
    while thread.is_alive() and scheduler.now < until:
        scheduler.pause(min(0.1, timeout))


def _start_real(self: Any) -> None:
    self.fiber = _start(self.name, self.run)


def _real_is_alive(self: Any) -> bool:
    return hasattr(self, "fiber") and not self.fiber.ended


def _connect(_url: str, *, name: str) -> Connection:
    return now.world.connect()


def _broker(_url: str, **_options: Any) -> SimulatedBroker:
    return SimulatedBroker(now.world.broker, _process())


def _process() -> Any:
    fiber = _scheduler().current
    assert fiber is not None
    return fiber.process


def _readable(connections: list[Connection], _timeout: float) -> bool:
    return any(each.ended or each.notes for each in connections)


def _exit(_code: int) -> None:
    process = _process()
    _scheduler().kill(process)
    raise Killed


_TIME = SimpleNamespace(
    monotonic=lambda: _scheduler().now, sleep=lambda seconds: _scheduler().pause(seconds)
)
_THREADING = SimpleNamespace(Event=Event, Thread=Thread, Lock=Lock)
_RANDOM = SimpleNamespace(
    random=lambda: _scheduler().rng.random(),
    uniform=lambda a, b: _scheduler().rng.uniform(a, b),
)

_CLOCK = {"time": _TIME}
_CONNECTING = {"time": _TIME, "connect": _connect}
_THREADS = _CONNECTING | {"threading": _THREADING}
_REPLACED: list[tuple[Any, dict[str, Any]]] = [
    (relay, _CONNECTING | {
        "HEARTBEAT_S": 0.5, "LEADER_TIMEOUT_S": 1.5, "_CAMPAIGN_S": 0.7,
        "_SLEEP_S": 1.0, "BATCH_BYTES": 400,
    }),
    (reconnecting_publisher, _CLOCK | {"BrokerConnection": _broker}),
    (batch, _CLOCK | {"PARKING": RetryPolicy(max_attempts=12, initial_delay=0.5, max_delay=1.0)}),
    (publisher, _CLOCK | {"CONFIRM_TIMEOUT_S": 2.0}),
    (leader_thread, _CONNECTING), (periodic, _CLOCK),
    (keeper, _CLOCK | {
        "BrokerConnection": _broker, "_STATEMENT_TIMEOUT_S": 2.0, "TICK_S": 0.6,
        "PENDING_LIMIT": 3, "_LONGEST_PAUSE_S": 0.6,
    }),
    (rescuer, _CLOCK | {"_GAP_S": 1.5}),
    (republisher, _CLOCK | {
        "INTERVAL_S": 0.9, "LOST_AFTER": timedelta(seconds=1), "MAX_IN_HAND": 1, "SURPLUS": 0,
        "_SLICE": 2, "_SHORTEST_PAUSE_S": 1.0, "_LONGEST_PAUSE_S": 3.0,
        "_OVERTAKEN_AFTER": timedelta(seconds=1),
    }),
    (vacuum, _THREADS), (importer, _CLOCK),
    (session, _THREADS | {"wait_readable": _readable, "_TICK_S": 0.7, "_STATEMENT_TIMEOUT_S": 2.0}),
    (worker, {
        "time": _TIME, "threading": _THREADING, "BrokerConnection": _broker, "Shutdown": Shutdown,
        "_TICK_S": 1.0, "new_worker_id": lambda: (1 << 61) + _scheduler().rng.getrandbits(60),
        "os": SimpleNamespace(_exit=_exit), "logging": SimpleNamespace(shutdown=lambda: None),
    }),
    (db_session, _CLOCK | {"connect": _connect}), (retry, _CLOCK | {"random": _RANDOM}),
    (logs, _CLOCK), (service, {"threading": _THREADING}),
    (job, _CLOCK), (executor, _CLOCK), (application, _CLOCK), (connection, _CLOCK),
]  # fmt: skip


@contextmanager
def replaced(off: frozenset[str]) -> Generator[None]:
    """Run the framework on the models within the block, without the guards in `off`."""
    with ExitStack() as stack, taken_out(off):
        for module, names in _REPLACED:
            stack.enter_context(patch.multiple(module, **names))
        for thread in (relay.Relay, session.Session, leader_thread.LeaderThread):
            stack.enter_context(
                patch.multiple(
                    thread, create=True, start=_start_real, is_alive=_real_is_alive, join=_join
                )
            )
        yield


class _Lines(logging.Handler):
    """The program's own log, in the trace."""

    def emit(self, record: logging.LogRecord) -> None:
        details = getattr(record, "details", None)
        text = f"{record.levelname} {record.getMessage()}"
        now.world.scheduler.note(text + (f" {json.dumps(details, default=str)}" if details else ""))


@contextmanager
def logged(traced: bool) -> Generator[None]:
    """The program's log goes to the trace, or nowhere."""
    log, handler = logging.getLogger("pizza.taskqueue"), _Lines()
    before = logging.root.manager.disable, log.level, log.propagate
    log.propagate = False
    if traced:
        log.setLevel(logging.INFO)
        log.addHandler(handler)
        logging.disable(logging.NOTSET)
    else:
        logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        log.removeHandler(handler)
        logging.disable(before[0])
        log.setLevel(before[1])
        log.propagate = before[2]
