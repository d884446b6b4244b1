"""A worker process: deliveries from its queues, one job at a time, ack only after the commit.

One thread works: it fetches a delivery, runs the job, acks. The main thread hears the
signals, and while a job runs it keeps the broker's connection alive in the work thread's
stead: whoever holds `_broker_lock` owns the connection.

How deliveries are fetched, and why in the right order, is told in pizza.taskqueue.worker.fetcher.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta

from pizza.taskqueue.app import App
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import (
    BrokerUnavailable,
    PoisonMessage,
    RegistrationRefused,
    TimeLimitExceeded,
)
from pizza.taskqueue.lifecycle import Shutdown
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.outbox.relay import Relay
from pizza.taskqueue.retry import Backoff, Repeated
from pizza.taskqueue.worker.context import WorkerContext, WorkerOptions
from pizza.taskqueue.worker.executor import Executor
from pizza.taskqueue.worker.fetcher import Fetcher
from pizza.taskqueue.worker.outcome import Outcome, Result
from pizza.taskqueue.worker.session import (
    NullRegistry,
    Session,
    WorkerRegistry,
    lock_job_key,
    new_worker_id,
)
from pizza.taskqueue.worker.tags import find_match

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 1.5
_TICK_S = 0.5
# Between two looks of a worker that chooses by skill; each costs the database about 0.2 ms.
_MATCH_INTERVAL_S = 0.2
# A delivery that fails so often outside its task is a dead letter.
_MAX_FAILURES = 3


class Worker:
    """Runs an app's tasks until it is told to stop."""

    def __init__(
        self,
        app: App,
        db_url: str,
        broker_url: str,
        options: WorkerOptions,
        *,
        registry: WorkerRegistry | None = None,
    ) -> None:
        self._app = app
        self._broker_url = broker_url
        self._options = options
        self._stop = Shutdown()
        self._title = f"{app.name} {options.name}"
        worker_id = new_worker_id()
        db = ReconnectingConnection(
            db_url,
            name=f"{self._title} job",
            sleep=self._pause,
            on_connect=lambda conn: lock_job_key(conn, worker_id),
        )
        self._context = WorkerContext(
            worker_name=options.name,
            worker_id=worker_id,
            lease=timedelta(seconds=options.lease),
            # Who chooses by skill is promised nothing and has no deliveries to compare.
            queues=() if options.skills is not None else tuple(options.queues),
            db=db,
        )
        self._session = Session(
            db_url, self._title, self._context, registry or NullRegistry(), self._stop
        )
        self._relay = Relay(app, db_url, broker_url, name=self._title) if options.relay else None
        self._executor = Executor(app, self._context)
        self._broker: BrokerConnection | None = None
        self._broker_lock = threading.Lock()
        self._fetcher: Fetcher | None = None
        self._context.on_claimed = self._release_prefetched
        self._failure: BaseException | None = None
        self._failures: Counter[tuple[str, str | None, int]] = Counter()
        self._trouble = Repeated()
        self._was_ready = self._is_ready = False

    # -- the main thread, or one of a crew ------------------------------------------

    def run(self) -> None:
        """Work until SIGTERM, SIGHUP or SIGINT. Raises RegistrationRefused."""
        self._stop.install_handlers()
        try:
            self.work()
        finally:
            self._stop.ignore_signals()

    def stop(self) -> None:
        """Ask for the end of `work`, from any thread."""
        self._stop.set()

    def work(self) -> None:
        """Work until `stop`: as `run`, in any thread, without an ear for signals."""
        self._session.start()
        if not self._wait_registered():
            return
        work = threading.Thread(target=self._work_until_stopped, name="work", daemon=True)
        work.start()
        if self._relay:
            self._relay.start()
        try:
            while work.is_alive() and not self._stop.is_set():
                self._stop.wait(_TICK_S)
                self._keep_alive()
            self._drain(work)
        finally:
            if self._relay:
                self._relay.stop(_STOP_TIMEOUT_S)
            self._session.close(_STOP_TIMEOUT_S)
        if self._session.hung is not None:
            raise TimeLimitExceeded(f"message {self._session.hung.id} did not end in time")
        if self._failure is not None:
            raise self._failure

    def _wait_registered(self) -> bool:
        """Wait for the first entry; False when stopped before."""
        while not self._session.registered.is_set():
            if self._session.refused is not None:
                raise RegistrationRefused(self._session.refused)
            if self._stop.is_set():
                self._session.close(_STOP_TIMEOUT_S)
                return False
            self._stop.wake.wait(1.0)
        return True

    def _keep_alive(self) -> None:
        """While a job runs: heartbeat, and notice a broker that is gone."""
        if not self._broker_lock.acquire(blocking=False):
            return
        try:
            if self._broker is not None and self._broker.lost is None:
                self._broker.wait(0)
        except BrokerUnavailable as error:
            log.warning("%s; the job goes on without it", error, extra={"action": "broker_lost"})
        finally:
            self._broker_lock.release()

    def _drain(self, work: threading.Thread) -> None:
        """Give the job in hand its grace, then take it away, then leave it behind."""
        hung = self._session.hung is not None
        until = time.monotonic() + (0 if hung else self._options.grace)
        while work.is_alive() and time.monotonic() < until:
            work.join(0.1)
            self._keep_alive()
        self._context.release_requested.set()
        self._context.sleep_interrupt.set()
        work.join(_STOP_TIMEOUT_S)
        if work.is_alive():
            # It is stuck where nothing can interrupt it. To end now is a crash that is
            # meant: the servers free what it holds, and another worker takes over. A process
            # manager starts a worker again whose job was hung.
            log.error("The job does not end; leaving it", extra={"action": "job_abandoned"})
            logging.shutdown()
            os._exit(1 if hung else 0)

    # -- the work thread ------------------------------------------------------------

    def _work_until_stopped(self) -> None:
        try:
            with self._broker_lock:
                if self._options.skills is None:
                    self._serve_until_stopped()
                else:
                    self._serve_tagged(sorted(self._options.skills))
        except BaseException as error:
            self._failure = error
        finally:
            self._context.db.close()
            self._stop.set()

    def _serve_tagged(self, skills: list[str]) -> None:
        """Work on what the database names: a queue cannot be searched for what one is good at.

        The deliveries of what is taken this way stay behind, and are dropped as duplicates.
        """
        log.info("Worker connected and ready", extra={"action": "worker_connected"})
        while not self._stop.is_set():
            present = self._session.registered.is_set()
            found = find_match(self._context.db, self._options.queues, skills) if present else None
            if found is not None:
                self._run(found, skip_priority_check=True)
            else:
                self._stop.wait(_MATCH_INTERVAL_S)

    def _serve_until_stopped(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._broker = self._connect()
                self._serve(self._broker)
            except BrokerUnavailable as error:
                if self._trouble.is_due(error):
                    log.warning("%s; trying again", error, extra={"action": "broker_lost"})
                if time.monotonic() - began > Backoff.LONGEST_S:
                    backoff.reset()
                self._stop.wait(backoff.next())
            finally:
                self._is_ready = False
                if self._broker is not None:
                    self._broker.close()
                    self._broker = self._fetcher = None

    def _become_ready(self, broker: BrokerConnection) -> None:
        """Log that it consumes. Raises BrokerUnavailable when RabbitMQ refuses the consumers."""
        # It works in order, so the refusal of a consumer comes before the answer to this.
        broker.prefetch(1)
        self._is_ready = True
        was_away = self._trouble.is_over()
        if not self._was_ready:
            self._was_ready = True
            log.info("Worker connected and ready", extra={"action": "worker_connected"})
        elif was_away:
            log.info("RabbitMQ is back", extra={"action": "broker_reconnected"})

    def _connect(self) -> BrokerConnection:
        broker = BrokerConnection(
            self._broker_url, name=self._title, heartbeat=self._options.heartbeat
        )
        try:
            broker.declare(self._app.topology_for(self._options.queues))
            broker.prefetch(1)
        except BrokerUnavailable:
            broker.close()
            raise
        return broker

    def _pause(self, seconds: float) -> bool:
        """For the job's connection: wait, and say whether to give up."""
        self._context.release_requested.wait(seconds)
        return self._context.release_requested.is_set()

    def _serve(self, broker: BrokerConnection) -> None:
        fetcher = self._fetcher = Fetcher(broker, self._context.queues)
        while not self._stop.is_set():
            if not self._session.registered.is_set():
                self._wait(broker)
                continue
            found = fetcher.next(lambda: self._await_arrival(broker))
            if found is not None:
                result = self._run(found.delivery, found.skip_priority_check)
                if broker.lost is not None:
                    raise broker.lost
                fetcher.acknowledge(found.delivery, result)

    def _await_arrival(self, broker: BrokerConnection) -> bool:
        """While consuming, as `_wait`; at once when the connection has just become ready."""
        if self._is_ready:
            return self._wait(broker)
        self._become_ready(broker)
        return self._wants_work()

    def _wait(self, broker: BrokerConnection) -> bool:
        """Wait for an arrival or a wake-up; False when no more work is wanted."""
        broker.wait(1.0, [self._stop.wake])
        self._stop.wake.clear()
        return self._wants_work()

    def _wants_work(self) -> bool:
        return not self._stop.is_set() and self._session.registered.is_set()

    def _release_prefetched(self) -> None:
        """In a job, once it is claimed: what came beside it need not wait for its end."""
        fetcher = self._fetcher
        if fetcher is not None and fetcher.has_prefetched:
            with self._broker_lock, suppress(BrokerUnavailable):
                fetcher.release_prefetched()

    def _run(self, delivery: Delivery, skip_priority_check: bool) -> Result:
        """Run the job, with the connection left to the main thread."""
        self._context.lease_lost.clear()
        self._context.sleep_interrupt.clear()
        if self._context.release_requested.is_set():
            return Result(Outcome.RELEASED)
        self._broker_lock.release()
        try:
            return self._executor.execute(delivery, skip_priority_check=skip_priority_check)
        except Exception as error:
            return self._failed(delivery, error)
        finally:
            self._broker_lock.acquire()

    def _failed(self, delivery: Delivery, error: Exception) -> Result:
        """A delivery that the executor failed on: back to its queue, in the end a dead letter."""
        log.exception("A delivery could not be settled", extra={"action": "executor_failed"})
        self._context.db.close()
        key = (delivery.queue, delivery.message_id, hash(delivery.body))
        if len(self._failures) > 1000:
            self._failures.clear()
        self._failures[key] += 1
        if self._failures[key] >= _MAX_FAILURES:
            del self._failures[key]
            reason = f"could not be settled: {type(error).__name__}: {error}"
            try:
                return self._executor.dead_letter_unclaimed(delivery, PoisonMessage(reason))
            except Exception:
                log.exception(
                    "A dead letter cannot be written", extra={"action": "executor_failed"}
                )
        self._context.release_requested.wait(1.0)
        return Result(Outcome.RELEASED)
