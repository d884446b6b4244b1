"""A worker: processes messages from its queues, one job at a time; acks only after the commit.

The work thread fetches a delivery, runs the job and acknowledges. The main thread receives the
signals, and while a job runs it keeps the broker connection alive; the thread that has
`_broker_lock` owns the connection. See pizza.taskqueue.worker.fetcher for the order of messages.
"""

import logging
import os
import threading
import time
from contextlib import suppress
from datetime import timedelta

from pizza.taskqueue.app import App
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import BrokerUnavailable, PoisonMessage, TimeLimitExceeded
from pizza.taskqueue.lifecycle import Shutdown
from pizza.taskqueue.logs import LogThrottle
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.outbox.relay import Relay
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.worker.context import WorkerContext, WorkerOptions
from pizza.taskqueue.worker.executor import Executor, Outcome, Result
from pizza.taskqueue.worker.failures import FailureCounter
from pizza.taskqueue.worker.fetcher import Fetcher, find_match
from pizza.taskqueue.worker.session import Session, WorkerRegistry, lock_job_key, new_worker_id

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 1.5
_TICK_S = 0.5
# How often a worker with tags queries the database for a message; a query takes about 0.2 ms.
_MATCH_INTERVAL_S = 0.2


class Worker:
    """Runs the tasks of an app until it is stopped."""

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
        self._context = WorkerContext(
            worker_name=options.name,
            worker_id=worker_id,
            lease=timedelta(seconds=options.lease),
            # A worker with tags gets no reservation and has no deliveries to compare.
            queues=() if options.tags is not None else tuple(options.queues),
            db=ReconnectingConnection(
                db_url,
                name=f"{self._title} job",
                sleep=self._sleep,
                on_connect=lambda conn: lock_job_key(conn, worker_id),
            ),
            on_claimed=self._release_prefetched,
        )
        registry = registry or WorkerRegistry()
        self._session = Session(db_url, self._title, self._context, registry, self._stop)
        self._relay = Relay(app, db_url, broker_url, name=self._title) if options.relay else None
        self._executor = Executor(app, self._context)
        self._executor_failures = FailureCounter()
        self._broker: BrokerConnection | None = None
        self._broker_lock = threading.Lock()
        self._fetcher: Fetcher | None = None
        self._failure: BaseException | None = None
        self._broker_errors = LogThrottle()
        self._was_ready = self._is_ready = False

    def run(self) -> None:
        """Run until SIGTERM, SIGHUP or SIGINT. Main thread only. Raises as `run_until_stopped`."""
        self._stop.install_handlers()
        try:
            self.run_until_stopped()
        finally:
            self._stop.ignore_signals()

    def stop(self) -> None:
        """Request the end of `run_until_stopped`. Any thread."""
        self._stop.set()

    def run_until_stopped(self) -> None:
        """Run until `stop`, in any thread. Raises RegistrationRefused, TimeLimitExceeded after a
        job that could not be interrupted, and any error that ended the work thread.
        """
        self._session.start()
        if not self._session.wait_registered():
            self._session.stop(_STOP_TIMEOUT_S)
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
            self._session.stop(_STOP_TIMEOUT_S)
        if self._session.hung_job is not None:
            raise TimeLimitExceeded(f"message {self._session.hung_job.id} did not end in time")
        if self._failure is not None:
            raise self._failure

    def _keep_alive(self) -> None:
        """While a job runs: send heartbeats to the broker and detect a lost connection."""
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
        """Let the job run for the grace period, then interrupt it, then exit the process."""
        has_hung_job = self._session.hung_job is not None
        until = time.monotonic() + (0 if has_hung_job else self._options.grace)
        while work.is_alive() and time.monotonic() < until:
            work.join(0.1)
            self._keep_alive()
        self._context.release_requested.set()
        self._context.sleep_interrupt.set()
        work.join(_STOP_TIMEOUT_S)
        if work.is_alive():
            # Nothing can interrupt the job. After the exit the servers free what it held, and
            # another worker takes over. Code 1 makes a process manager restart the worker.
            log.error("The job does not end; leaving it", extra={"action": "job_abandoned"})
            logging.shutdown()
            os._exit(1 if has_hung_job else 0)

    def _work_until_stopped(self) -> None:
        try:
            with self._broker_lock:
                if self._options.tags is None:
                    self._serve_until_stopped()
                else:
                    self._serve_tagged(sorted(self._options.tags))
        except BaseException as error:
            self._failure = error
        finally:
            self._context.db.close()
            self._stop.set()

    def _serve_tagged(self, tags: list[str]) -> None:
        """Process the messages that the database finds for the tags.

        The deliveries of these messages stay in their queues; workers drop them as duplicates.
        """
        log.info("Worker connected and ready", extra={"action": "worker_connected"})
        while not self._stop.is_set():
            registered, queues = self._session.registered.is_set(), self._options.queues
            found = find_match(self._context.db, queues, tags) if registered else None
            if found is None:
                self._stop.wait(_MATCH_INTERVAL_S)
            else:
                self._run(found, skip_priority_check=True)

    def _serve_until_stopped(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            started_at = time.monotonic()
            try:
                self._broker = self._connect()
                self._serve(self._broker)
            except BrokerUnavailable as error:
                if self._broker_errors.is_due(error):
                    log.warning("%s; trying again", error, extra={"action": "broker_lost"})
                self._stop.wait(backoff.next(started_at))
            finally:
                self._is_ready = False
                if self._broker is not None:
                    self._broker.close()
                    self._broker = self._fetcher = None

    def _connect(self) -> BrokerConnection:
        heartbeat = self._options.heartbeat
        broker = BrokerConnection(self._broker_url, name=self._title, heartbeat=heartbeat)
        try:
            broker.declare(self._app.topology_for(self._options.queues))
            broker.prefetch(1)
        except BrokerUnavailable:
            broker.close()
            raise
        return broker

    def _serve(self, broker: BrokerConnection) -> None:
        fetcher = self._fetcher = Fetcher(broker, self._context.queues)
        while not self._stop.is_set():
            if not self._session.registered.is_set():
                self._wait(broker)
                continue
            delivery = fetcher.next(lambda: self._await_arrival(broker))
            if delivery is not None:
                result = self._run(delivery, fetcher.skip_priority_check)
                if broker.lost is not None:
                    raise broker.lost
                fetcher.acknowledge(delivery, result)

    def _await_arrival(self, broker: BrokerConnection) -> bool:
        """`_wait` while consuming; the first call on a connection returns at once."""
        if self._is_ready:
            return self._wait(broker)
        self._set_ready(broker)
        return self._wants_work()

    def _set_ready(self, broker: BrokerConnection) -> None:
        """Log that the worker consumes. Raises BrokerUnavailable if a consumer was refused."""
        # RabbitMQ answers in order, so the refusal of a consumer comes before this answer.
        broker.prefetch(1)
        self._is_ready = True
        had_errors = self._broker_errors.is_over()
        if not self._was_ready:
            self._was_ready = True
            log.info("Worker connected and ready", extra={"action": "worker_connected"})
        elif had_errors:
            log.info("RabbitMQ is back", extra={"action": "broker_reconnected"})

    def _wait(self, broker: BrokerConnection) -> bool:
        """Wait for an arrival or a wake-up, at most 1 s; returns whether to go on working."""
        broker.wait(1.0, [self._stop.wake])
        self._stop.wake.clear()
        return self._wants_work()

    def _wants_work(self) -> bool:
        return not self._stop.is_set() and self._session.registered.is_set()

    def _sleep(self, seconds: float) -> bool:
        """Wait, for the job's connection; returns whether to give up."""
        return self._context.release_requested.wait(seconds)

    def _release_prefetched(self) -> None:
        """Requeue the other deliveries once a job has its claim, so that others process them."""
        fetcher = self._fetcher
        if fetcher is not None and fetcher.has_prefetched:
            with self._broker_lock, suppress(BrokerUnavailable):
                fetcher.release_prefetched()

    def _run(self, delivery: Delivery, skip_priority_check: bool) -> Result:
        """Process a delivery; meanwhile the main thread owns the broker connection."""
        self._context.sleep_interrupt.clear()
        if self._context.release_requested.is_set():
            return Result(Outcome.RELEASED)
        self._broker_lock.release()
        try:
            return self._executor.execute(delivery, skip_priority_check=skip_priority_check)
        except Exception as error:
            return self._executor_failed(delivery, error)
        finally:
            self._broker_lock.acquire()

    def _executor_failed(self, delivery: Delivery, error: Exception) -> Result:
        """Requeue a delivery on which the executor failed; dead-letter it after three failures."""
        log.exception("Executor failed; message requeued", extra={"action": "executor_failed"})
        self._context.db.close()
        if self._executor_failures.is_exhausted(delivery):
            reason = f"could not be settled: {type(error).__name__}: {error}"
            try:
                return self._executor.dead_letter_unclaimed(delivery, PoisonMessage(reason))
            except Exception:
                text = "A dead letter cannot be written"
                log.exception(text, extra={"action": "executor_failed"})
        self._context.release_requested.wait(1.0)
        return Result(Outcome.RELEASED)
