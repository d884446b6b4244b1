"""One schedule: cooks, senders and faults from a seed, then recovery, then the verdict."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.errors import DatabaseUnavailable
from pizza.taskqueue.app import App
from pizza.taskqueue.task import publish
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.worker import Worker

from . import sample_app, virtual
from .broker import EVENTS, Server
from .connection import Connection
from .database import Database
from .faults import FaultInjector
from .invariants import InvariantChecker, short
from .rules import RULES
from .scheduler import Process, Scheduler
from .virtual import now
from .watch import BYSTANDER, Watch

FAULTS_S = 2.5
RECOVERY_S = 60.0
LEASE_S = 1.5


@dataclass(frozen=True)
class Verdict:
    """What became of a schedule. trace: lines, if it was asked for."""

    seed: int
    violations: list[str]
    steps: int
    seconds: float
    trace: list[str] = field(default_factory=list)


@dataclass
class Cook:
    """A worker process."""

    process: Process
    worker: Worker

    @property
    def holder(self) -> int:
        return self.worker._context.worker_id

    @property
    def busy(self) -> bool:
        context = self.worker._context
        return not self.process.dead and context.current_job is not None

    @property
    def frozen(self) -> bool:
        return self.process.frozen_until > now.world.scheduler.now

    @property
    def living(self) -> bool:
        return not self.process.dead and not self.worker._stop.is_set()

    @property
    def well(self) -> bool:
        """Whether it should take whatever there is, once it has ended its job."""
        return (
            self.living
            and not self.frozen
            and self.worker._session.registered.is_set()
            and self.process not in now.world.broker.unreachable
        )


class _Rollback(Exception):
    pass


@cache
def _app() -> App:
    return sample_app.make_app(
        lambda: now.world.new_id(), lambda seconds: now.world.scheduler.pause(seconds)
    )


class World:
    """Servers, processes and the checkers of one schedule."""

    def __init__(self, seed: int, off: frozenset[str] = frozenset(), traced: bool = False) -> None:
        self.scheduler = Scheduler(seed)
        self.rng = self.scheduler.rng
        if traced:
            self.scheduler.trace = []
        self.checker = InvariantChecker()
        self.watch = Watch(self)
        self.database = Database(self.scheduler, self._committed)
        self.database.off = off
        self.broker = Server(self.scheduler, lambda: self.faults.after("accepted", None))
        self.cooks: list[Cook] = []
        self.faults = FaultInjector(self)
        self.database.underway = lambda process: self.faults.after("underway", process)
        self._senders = self._bystanders = 0
        self._ids = 0

    def new_id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)

    def _committed(self, kind: str, id: Any, detail: Any) -> None:
        self.scheduler.note(f"{kind} {short(id)}")
        if kind == "periodic run":
            self.watch.periodic_run(id, detail, sample_app.PERIOD_S)
            return
        self.checker.committed(kind, id, detail)
        fiber = self.scheduler.current
        self.faults.after(kind, fiber and fiber.process)

    # -- what processes are made of -------------------------------------------------------------

    def connect(self) -> Connection:
        fiber = self.scheduler.current
        assert fiber is not None
        self.travel()
        if self.database.down_until > self.scheduler.now:
            raise DatabaseUnavailable("PostgreSQL is not available")
        return Connection(self.database, fiber.process, _RULES.get, self.travel)

    def travel(self) -> None:
        """The way to the database, or back."""
        self.scheduler.pause(self.rng.random() * 0.004)

    def start_cook(self) -> None:
        """Start a cook with its session and its relay."""
        name = f"cook{len(self.cooks)}"
        options = WorkerOptions(name, sample_app.QUEUES, grace=0.5, lease=LEASE_S)
        process = self.scheduler.process(name)
        worker = Worker(_app(), "db", "amqp", options)
        context = worker._context
        for event in ("sleep_interrupt", "release_requested", "database_silent"):
            setattr(context, event, virtual.Event())
        self.cooks.append(Cook(process, worker))
        self.scheduler.spawn(process, "main", worker.run)

    @property
    def living(self) -> list[Cook]:
        return [each for each in self.cooks if each.living]

    # -- senders --------------------------------------------------------------------------------

    def _open(self, key: str) -> None:
        self._senders += 1
        process = self.scheduler.process(key)
        self.scheduler.spawn(process, "sender", lambda: self._send_all(key))

    def _send_all(self, key: str) -> None:
        conn: Connection | None = None
        for n in range(self.rng.randint(1, 3)):
            self.scheduler.pause(self.rng.random() * FAULTS_S / 3)
            id = self.new_id()
            for _ in range(2):
                try:
                    conn = conn if conn is not None and not conn.closed else self.connect()
                    with conn.transaction():
                        self._send(conn, id, key, n)
                    break
                except _Rollback:
                    break
                except (DatabaseUnavailable, psycopg.Error):
                    continue  # did it commit? The same id again does no harm
        self._senders -= 1

    def _send(self, conn: Any, id: UUID, key: str, n: int) -> None:
        rng = self.rng
        plan = {
            "steps": rng.random() < 0.6,
            "seconds": rng.random() * rng.choice((0.05, 0.4, 1.6)),
            "fail": rng.choice((0, 0, 0, 0, 1, 2, 9, -1)),
            "then": rng.random() < 0.3,
            "hold": rng.choice((0,) * 8 + (0.5, 3.0)),
        }
        task = _app().tasks[rng.choice(("work", "work", "quick", "terse"))]
        task.send(
            conn,
            plan,
            message_id=id,
            priority=rng.choice((0, 0, 5)),
            countdown=rng.choice((None, None, None, 0.7)),
        )
        publish(conn, EVENTS, key, {"n": n}, message_id=self.new_id())
        if rng.random() < 0.1:
            self.scheduler.pause(rng.random())
        if rng.random() < 0.1:
            raise _Rollback

    # -- a session of psql -------------------------------------------------------------------------

    def lock_rows(self, ids: list[Any], seconds: float) -> None:
        """Hold the locks of some messages for a while."""
        self.scheduler.note(f"*** {', '.join(map(short, ids))} are locked for {seconds:.1f} s")
        self._bystanders += 1
        process = self.scheduler.process(BYSTANDER)

        def hold() -> None:
            try:
                conn = self.connect()
                conn.statement_timeout = None
                with conn.transaction():
                    conn.execute(sample_app.LOCK, {"ids": ids})
                    self.scheduler.pause(seconds)
                conn.close()
            except (DatabaseUnavailable, psycopg.Error):
                pass
            finally:
                self._bystanders -= 1

        self.scheduler.spawn(process, "psql", hold)

    # -- the schedule ---------------------------------------------------------------------------

    def run(self) -> Verdict:
        now.world = self
        for _ in range(2):
            self.start_cook()
        for key in ("a", "b")[: self.rng.randint(1, 2)]:
            self._open(key)
        self.faults.schedule(FAULTS_S)
        start = self.scheduler.now
        try:
            self.scheduler.run(start + FAULTS_S, self._check_progress)
            self.faults.end_faults()
            self.scheduler.run(start + RECOVERY_S, self._is_finished)
            if not self._deliveries():
                self.scheduler.run(self.scheduler.now + 0.05)
            dead = self.database.tables["dead_message"]
            violations = self.checker.check_end(self.database.messages, dead, self.broker.seen)
            violations = self.watch.violations + violations
            trace = self.scheduler.trace or []
            return Verdict(
                self.scheduler.seed,
                violations,
                self.scheduler.steps,
                self.scheduler.now - start,
                trace,
            )
        finally:
            self.scheduler.end()

    def _check_progress(self) -> bool:
        self.watch.look()
        return False

    def _is_finished(self) -> bool:
        self.watch.look()
        if self.database.messages or self._senders or self._bystanders or self._deliveries():
            return False
        return not any(each.busy or each.frozen for each in self.cooks)

    def _deliveries(self) -> bool:
        held = any(link.unacked for link in self.broker.links)
        return held or any(self.broker.queues.get(name) for name in sample_app.QUEUES)


_RULES = RULES | sample_app.RULES_OF_APP


def simulate(
    seeds: range, *, off: frozenset[str] = frozenset(), traced: bool = False
) -> Generator[Verdict]:
    """Run the schedules of some seeds. off: guards that are taken out."""
    with virtual.replaced(off), virtual.logged(traced), _rare_collections():
        for seed in seeds:
            if seed % 100 == 0:
                gc.collect()
            yield World(seed, off, traced).run()


@contextmanager
def _rare_collections() -> Generator[None]:
    """A world is one large cycle, which the collector would scan again and again."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
