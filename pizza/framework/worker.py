"""A worker process: tickets from its queues, one job at a time, ack only after the commit.

The main thread owns the broker's connection: it fetches tickets, keeps the heartbeat while
a job runs, acks, and hears the signals. The job runs in a thread of its own.

Fetching. With nothing to do the worker consumes from all of its queues (prefetch 1 each),
so RabbitMQ deals work round robin among idle workers. The first arrival ends that: the
best of what came is taken, the consumers are cancelled and the rest goes back, so that no
busy worker holds a message that another could start. After a job the database says in
which queue the best message waits, and the worker fetches the head of that queue; the claim
of a message that was pushed checks that nothing better waits in another queue. So order is
by priority, then age, across all queues, and the broker is asked once for each job.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from pizza.framework.app import App
from pizza.framework.broker import HEARTBEAT_S, Broker
from pizza.framework.errors import BrokerUnavailable, SessionRefused
from pizza.framework.executor import Executor, Outcome, Result
from pizza.framework.job import Bench
from pizza.framework.lifecycle import Stop
from pizza.framework.line import Line
from pizza.framework.message import Ticket, ticket
from pizza.framework.relay import Relay
from pizza.framework.retry import Backoff
from pizza.framework.session import NoRoster, Roster, Session, new_key

log = logging.getLogger(__name__)

# After so many looks at another queue in vain, a worker takes what it has.
_LOOKS = 3
_LAST_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """name: unique among the living; queues: by preference only in the eyes of the reader.

    grace: seconds that a job may still run after SIGTERM; lease: seconds that a claim
    outlives a worker that falls silent; heartbeat: seconds, with the broker.
    """

    name: str
    queues: Sequence[str]
    grace: float = 15.0
    lease: float = 15.0
    heartbeat: int = HEARTBEAT_S
    relay: bool = True


class Worker:
    """Runs an app's tasks until it is told to stop."""

    def __init__(
        self,
        app: App,
        db_url: str,
        broker_url: str,
        options: WorkerOptions,
        *,
        roster: Roster | None = None,
    ) -> None:
        self._app = app
        self._broker_url = broker_url
        self._options = options
        self._stop = Stop()
        self._title = f"{app.name} {options.name}"
        line = Line(db_url, name=f"{self._title} job", pause=self._pause)
        self._bench = Bench(
            worker_name=options.name,
            holder=new_key(),
            lease=timedelta(seconds=options.lease),
            queues=tuple(options.queues),
            line=line,
        )
        self._session = Session(db_url, self._title, self._bench, roster or NoRoster(), self._stop)
        self._relay = (
            Relay(app, db_url, broker_url, name=self._title) if options.relay else None
        )
        self._executor = Executor(app, self._bench)
        self._jobs: queue.SimpleQueue[tuple[Ticket, bool] | None] = queue.SimpleQueue()
        self._result: Result | None = None
        self._hint: str | None = None
        self._looks = 0
        self._deadline: float | None = None

    # -- life -----------------------------------------------------------------------

    def run(self) -> None:
        """Work until SIGTERM or SIGINT. Raises SessionRefused if the roster refuses the worker."""
        self._stop.listen()
        self._session.start()
        if not self._present():
            return
        job_thread = threading.Thread(target=self._work_off, name="job", daemon=True)
        job_thread.start()
        if self._relay:
            self._relay.start()
        try:
            self._serve_until_stopped()
        finally:
            self._jobs.put(None)
            job_thread.join(_LAST_SECONDS)
            if self._relay:
                self._relay.stop(_LAST_SECONDS)
            self._session.close(_LAST_SECONDS)

    def _present(self) -> bool:
        """Wait for the first entry; False when stopped before."""
        while not self._session.present.is_set():
            if self._session.refused is not None:
                raise SessionRefused(self._session.refused)
            if self._stop.is_set():
                self._session.close(_LAST_SECONDS)
                return False
            self._stop.wake.wait(1.0)
        return True

    def _serve_until_stopped(self) -> None:
        backoff = Backoff()
        away = False
        while not self._stop.is_set():
            broker = None
            try:
                broker = Broker(
                    self._broker_url, name=self._title, heartbeat=self._options.heartbeat
                )
                broker.declare(self._app.topology)
                broker.prefetch(1)
                backoff.reset()
                log.info(
                    "RabbitMQ is back" if away else "Worker connected and ready",
                    extra={"action": "broker_reconnected" if away else "worker_connected"},
                )
                away = False
                self._serve(broker)
            except BrokerUnavailable as error:
                if not away:
                    log.warning("%s; trying again", error, extra={"action": "broker_lost"})
                away = True
                self._stop.event.wait(backoff.next())
            finally:
                if broker is not None:
                    broker.close()

    def _pause(self, seconds: float) -> bool:
        """For the job's connection: wait, and say whether to give up."""
        self._bench.abandon.wait(seconds)
        return self._bench.abandon.is_set()

    # -- fetching -------------------------------------------------------------------

    def _serve(self, broker: Broker) -> None:
        self._hint, self._looks = None, 0
        while not self._stop.is_set():
            if not self._session.present.is_set():
                self._idle(broker)
                continue
            found = self._look(broker)
            if found is not None:
                # The database has just named its queue as the best; that need not be asked again.
                self._work(broker, found, forced=True)
            else:
                self._listen(broker)

    def _idle(self, broker: Broker) -> None:
        broker.wait(1.0, [self._stop.wake])
        self._stop.wake.clear()

    def _look(self, broker: Broker) -> Ticket | None:
        """The head of the queue that was named as holding the best message."""
        if self._hint is None:
            return None
        name, self._hint = self._hint, None
        message = broker.get(name)
        return ticket(name, message) if message is not None else None

    def _listen(self, broker: Broker) -> None:
        """Consume from all queues until something comes, and work on the best of it."""
        arrived: list[Ticket] = []
        tags = [broker.consume(name, partial(_collect, arrived, name)) for name in self._bench.queues]
        while not arrived and not self._stop.is_set() and self._session.present.is_set():
            self._idle(broker)
        if arrived and not self._stop.is_set():
            best = min(arrived, key=lambda each: each.rank)
            arrived.remove(best)
            self._work(broker, best, tags, arrived, forced=self._looks >= _LOOKS)
        else:
            _close_ears(broker, tags, arrived)

    # -- working --------------------------------------------------------------------

    def _work(
        self,
        broker: Broker,
        best: Ticket,
        tags: Sequence[str] = (),
        others: Sequence[Ticket] = (),
        *,
        forced: bool,
    ) -> None:
        self._result = None
        self._jobs.put((best, forced))
        try:
            _close_ears(broker, tags, others)
            while self._result is None:
                broker.wait(self._patience(), [self._stop.wake])
                self._stop.wake.clear()
        except BrokerUnavailable:
            # The job goes on: its claim does not depend on the broker, only its ack does.
            self._finish_without_broker()
            raise
        self._settle(broker, best, self._result)

    def _settle(self, broker: Broker, done: Ticket, result: Result) -> None:
        if result.requeue:
            broker.requeue(done.delivery_tag)
        else:
            broker.ack(done.delivery_tag)
        self._hint = result.next_queue
        self._looks = self._looks + 1 if result.outcome is Outcome.BETTER else 0

    def _finish_without_broker(self) -> None:
        log.warning("Broker lost while a job runs; the job goes on", extra={"action": "broker_lost"})
        while self._result is None:
            self._stop.wake.wait(self._patience())

    def _patience(self) -> float:
        """Seconds to wait now; hands the job back when its grace is over, ends if it hangs."""
        if not self._stop.is_set():
            return 5.0
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._options.grace
        if now >= self._deadline:
            self._bench.abandon.set()
            self._bench.interrupt.set()
            if now >= self._deadline + _LAST_SECONDS:
                log.error("The job does not end; leaving it", extra={"action": "job_abandoned"})
                logging.shutdown()
                os._exit(0)
            return 0.1
        return min(5.0, self._deadline - now)

    def _work_off(self) -> None:
        """The job thread."""
        while (item := self._jobs.get()) is not None:
            best, forced = item
            self._bench.lost.clear()
            if not self._bench.abandon.is_set():
                self._bench.interrupt.clear()
            try:
                result = self._executor.execute(best, forced=forced)
            except Exception:
                log.exception("A ticket could not be settled", extra={"action": "executor_failed"})
                self._bench.line.close()
                self._bench.abandon.wait(1.0)
                result = Result(Outcome.HANDED_BACK)
            self._result = result
            self._stop.wake.set()
        self._bench.line.close()


def _collect(arrived: list[Ticket], name: str, message: Any) -> None:
    arrived.append(ticket(name, message))


def _close_ears(broker: Broker, tags: Sequence[str], others: Sequence[Ticket]) -> None:
    """Cancel the consumers and give back what they brought beside the one taken."""
    for tag in tags:
        broker.cancel(tag)
    for each in others:
        broker.requeue(each.delivery_tag)
