"""A worker process: tickets from its queues, one job at a time, ack only after the commit.

One thread works: it fetches a ticket, runs the job, acks. The main thread hears the
signals, and while a job runs it keeps the broker's connection alive in the work thread's
stead: whoever holds `_at_broker` owns the connection.

Fetching. With nothing to do the worker consumes from all of its queues (prefetch 1 each), so
RabbitMQ deals work round robin among idle workers. The first arrival ends that: the consumers
are cancelled, the best of what came is claimed at once, then the rest goes back: no busy worker
holds a message that another could start. After a job the database says in which queue the best
message waits, and the worker fetches the head of that queue; the claim of a message that was
pushed checks that nothing better waits in another queue. So priority, then age, holds across all
queues.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from pizza.framework.app import App
from pizza.framework.broker import HEARTBEAT_S, Broker
from pizza.framework.errors import BrokerUnavailable, SessionRefused
from pizza.framework.executor import Executor, Outcome, Result
from pizza.framework.job import Bench
from pizza.framework.lifecycle import Stop
from pizza.framework.line import Line
from pizza.framework.matching import match
from pizza.framework.message import Ticket, ticket
from pizza.framework.relay import Relay
from pizza.framework.retry import Backoff
from pizza.framework.session import NoRoster, Roster, Session, new_key

log = logging.getLogger(__name__)

# After so many looks at another queue in vain, a worker takes what it has.
_LOOKS = 3
_LAST_SECONDS = 1.5
_TICK_S = 0.5
# Between two looks of a worker that chooses by skill; each costs the database about 0.2 ms.
_MATCH_S = 0.2


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """name: unique among the living; queues: by preference only in the eyes of the reader.

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
            # Who chooses by skill is promised nothing and has no tickets to compare.
            queues=() if options.skills is not None else tuple(options.queues),
            line=line,
        )
        self._session = Session(db_url, self._title, self._bench, roster or NoRoster(), self._stop)
        self._relay = Relay(app, db_url, broker_url, name=self._title) if options.relay else None
        self._executor = Executor(app, self._bench)
        self._broker: Broker | None = None
        self._at_broker = threading.Lock()
        self._bench.begun = self._hand_back_in_job
        self._arrived: list[Ticket] = []
        self._listening = False
        self._hint: str | None = None
        self._looks = 0
        self._failure: BaseException | None = None

    # -- the main thread ------------------------------------------------------------

    def run(self) -> None:
        """Work until SIGTERM or SIGINT. Raises SessionRefused if the roster refuses the worker."""
        self._stop.listen()
        self._session.start()
        if not self._present():
            return
        work = threading.Thread(target=self._work_until_stopped, name="work", daemon=True)
        work.start()
        if self._relay:
            self._relay.start()
        try:
            while work.is_alive() and not self._stop.is_set():
                self._stop.event.wait(_TICK_S)
                self._keep_alive()
            self._let_finish(work)
        finally:
            if self._relay:
                self._relay.stop(_LAST_SECONDS)
            self._session.close(_LAST_SECONDS)
            self._stop.ignore()
        if self._failure is not None:
            raise self._failure

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

    def _keep_alive(self) -> None:
        """While a job runs: heartbeat, and notice a broker that is gone."""
        if not self._at_broker.acquire(blocking=False):
            return
        try:
            if self._broker is not None and self._broker.lost is None:
                self._broker.wait(0)
        except BrokerUnavailable as error:
            log.warning("%s; the job goes on without it", error, extra={"action": "broker_lost"})
        finally:
            self._at_broker.release()

    def _let_finish(self, work: threading.Thread) -> None:
        """Give the job in hand its grace, then take it away, then leave it behind."""
        until = time.monotonic() + self._options.grace
        while work.is_alive() and time.monotonic() < until:
            work.join(0.1)
            self._keep_alive()
        self._bench.abandon.set()
        self._bench.interrupt.set()
        work.join(_LAST_SECONDS)
        if work.is_alive():
            # It is stuck where nothing can interrupt it. To end now is a crash that is
            # meant: the servers free what it holds, and another worker takes over.
            log.error("The job does not end; leaving it", extra={"action": "job_abandoned"})
            logging.shutdown()
            os._exit(0)

    # -- the work thread ------------------------------------------------------------

    def _work_until_stopped(self) -> None:
        try:
            with self._at_broker:
                if self._options.skills is None:
                    self._serve_until_stopped()
                else:
                    self._serve_by_skill(sorted(self._options.skills))
        except BaseException as error:
            self._failure = error
        finally:
            self._bench.line.close()
            self._stop.set()

    def _serve_by_skill(self, skills: list[str]) -> None:
        """Work on what the database names: a queue cannot be searched for what one is good at.

        The tickets of what is taken this way stay behind, and are dropped as duplicates.
        """
        log.info("Worker connected and ready", extra={"action": "worker_connected"})
        while not self._stop.is_set():
            present = self._session.present.is_set()
            found = match(self._bench.line, self._options.queues, skills) if present else None
            if found is not None:
                self._run(found, forced=True)
            else:
                self._stop.event.wait(_MATCH_S)

    def _serve_until_stopped(self) -> None:
        backoff = Backoff()
        away = False
        while not self._stop.is_set():
            try:
                self._broker = self._connect()
                backoff.reset()
                log.info(
                    "RabbitMQ is back" if away else "Worker connected and ready",
                    extra={"action": "broker_reconnected" if away else "worker_connected"},
                )
                away = False
                self._serve(self._broker)
            except BrokerUnavailable as error:
                if not away:
                    log.warning("%s; trying again", error, extra={"action": "broker_lost"})
                away = True
                self._stop.event.wait(backoff.next())
            finally:
                if self._broker is not None:
                    self._broker.close()
                    self._broker = None

    def _connect(self) -> Broker:
        broker = Broker(self._broker_url, name=self._title, heartbeat=self._options.heartbeat)
        try:
            broker.declare(self._app.topology)
            broker.prefetch(1)
        except BrokerUnavailable:
            broker.close()
            raise
        return broker

    def _pause(self, seconds: float) -> bool:
        """For the job's connection: wait, and say whether to give up."""
        self._bench.abandon.wait(seconds)
        return self._bench.abandon.is_set()

    # -- fetching -------------------------------------------------------------------

    def _serve(self, broker: Broker) -> None:
        self._hint, self._looks, self._listening = None, 0, False
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
        name, self._hint = self._hint, None
        message = broker.get(name) if name else None
        return ticket(name, message) if name and message is not None else None

    def _listen(self, broker: Broker) -> None:
        """Consume from all queues until something comes, and work on the best of it."""
        queues, arrived = self._bench.queues, self._arrived
        arrived.clear()
        broker.consume(queues, lambda name, message: arrived.append(ticket(name, message)))
        self._listening = True
        while not arrived and not self._stop.is_set() and self._session.present.is_set():
            self._idle(broker)
        broker.cancel(queues)
        if arrived and not self._stop.is_set():
            best = min(arrived, key=lambda each: each.rank)
            arrived.remove(best)
            self._work(broker, best, forced=self._looks >= _LOOKS)
        else:
            self._hand_back(broker)

    def _hand_back(self, broker: Broker) -> None:
        """Return what came beside the best, when the cancelled consumers have ended."""
        if not self._listening:
            return
        self._listening = False
        broker.settle(self._bench.queues)
        for each in self._arrived:
            broker.requeue(each.delivery_tag)

    def _hand_back_in_job(self) -> None:
        """The same as soon as the job is claimed, so that it need not wait for the broker."""
        if self._listening and self._broker is not None:
            with self._at_broker, suppress(BrokerUnavailable):
                self._hand_back(self._broker)

    # -- working --------------------------------------------------------------------

    def _work(self, broker: Broker, best: Ticket, *, forced: bool) -> None:
        result = self._run(best, forced)
        if broker.lost is not None:
            raise broker.lost
        self._hand_back(broker)
        if result.requeue:
            broker.requeue(best.delivery_tag)
        else:
            broker.ack(best.delivery_tag)
        self._hint = result.next_queue
        self._looks = self._looks + 1 if result.outcome is Outcome.BETTER else 0

    def _run(self, best: Ticket, forced: bool) -> Result:
        """Run the job, with the connection left to the main thread."""
        self._bench.lost.clear()
        self._bench.interrupt.clear()
        if self._bench.abandon.is_set():
            return Result(Outcome.HANDED_BACK)
        self._at_broker.release()
        try:
            return self._executor.execute(best, forced=forced)
        except Exception:
            log.exception("A ticket could not be settled", extra={"action": "executor_failed"})
            self._bench.line.close()
            self._bench.abandon.wait(1.0)
            return Result(Outcome.HANDED_BACK)
        finally:
            self._at_broker.acquire()
