"""The relay: publishes the outbox, in one process at a time.

Any number of processes run this thread. One of them leads: it holds a session lock, which the
server releases when the process ends. The leader publishes on this thread; a keeper and a runner of
periodic tasks have their own threads and connections. A frozen leader keeps its lock, so the
candidates monitor its heartbeat and terminate its session. A leader that cannot reach RabbitMQ
resigns when a candidate can.
"""

import logging
import time
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.outbox.batch import BATCH_BYTES, BATCH_SIZE, BatchPublisher
from pizza.taskqueue.outbox.keeper import Keeper
from pizza.taskqueue.outbox.periodic import PeriodicRunner
from pizza.taskqueue.outbox.reconnecting_publisher import BrokerState, ReconnectingPublisher
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.service import ServiceThread
from pizza.taskqueue.worker.session import MISSING_TABLE_ERRORS, NO_TABLES

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/relay")

HEARTBEAT_S = 1.0
LEADER_TIMEOUT_S = 8.0
_CAMPAIGN_S = 0.25
_SLEEP_S = 0.5
# The publisher cannot sleep while a transaction that has sent something is open; it retries after
# pauses that grow to this.
_MAX_SLEEP_RETRY_S = 0.05
# Pause between batches under load, for fewer statements per message. The first message after an
# idle time is published at once.
_LINGER_S = 0.002
_MAX_LINGER_S = 0.016
# A leader that has resigned does not campaign again before this time.
_RESIGN_PAUSE_S = 5.0
_HELPER_STOP_TIMEOUT_S = 1.0
_LOCK_TIMEOUT = "100ms"


class Relay(ServiceThread):
    """Publishes an app's outbox until `stop`; the next leader publishes the rest."""

    def __init__(self, app: App, db_url: str, broker_url: str, *, name: str) -> None:
        super().__init__("relay")
        self._app = app
        self._db_url = db_url
        self._broker_url = broker_url
        self._title = f"{name} relay"
        self._state = "starting"
        self._broker = ReconnectingPublisher(app, broker_url, self._title)
        self._batches = BatchPublisher()
        self._asleep = False
        self._sleep_retry = _LINGER_S
        self._linger = _LINGER_S
        self._heartbeat_at = 0.0
        self._campaign_from = 0.0

    def state(self) -> str:
        """`starting`, `standby`, `leading`, `leading, broker away`, `leading, broker blocked`,
        `database away` or `stopped`. Any thread.
        """
        return self._state

    def run(self) -> None:
        """Stand by and lead in turn until `stop`; reconnect after an error."""
        backoff = Backoff()
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                with connect(self._db_url, name=self._title) as conn, translate_errors():
                    conn.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
                    if self._campaign(conn):
                        self._run_as_leader(conn)
            except (DatabaseUnavailable, psycopg.DatabaseError) as error:
                if self._state != "database away":
                    reason = NO_TABLES if isinstance(error, MISSING_TABLE_ERRORS) else error
                    log.warning("Relay: %s; trying again", reason, extra={"action": "relay_lost"})
                self._state = "database away"
                self._stopping.wait(backoff.next(began))
            except Exception:
                log.exception("Relay failed; starting over", extra={"action": "relay_failed"})
                self._stopping.wait(backoff.next(began))
            finally:
                self._broker.close()
        self._state = "stopped"

    # -- election -------------------------------------------------------------------

    def _campaign(self, conn: BoundedConnection) -> bool:
        """Stand by until the leader's lock is acquired; False when stopped before."""
        monitor = _LeaderMonitor()
        checked_at = time.monotonic()
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= self._campaign_from and self._acquire_lead(conn):
                log.info("Relay elected leader", extra={"action": "leader_elected"})
                return True
            self._state = "standby"
            self._stopping.wait(_CAMPAIGN_S)
            if time.monotonic() - checked_at < HEARTBEAT_S:
                continue
            gap, checked_at = time.monotonic() - checked_at, time.monotonic()
            age, without_broker = conn.fetch_first(_SQL.leader_status)
            if monitor.is_frozen(gap, age):
                log.warning(
                    "Leading relay is frozen; its session is terminated",
                    extra={"action": "leader_terminated"},
                )
                conn.execute(_SQL.leader_terminate)
            if not without_broker:
                self._broker.close()
            elif self._ensure_connected(conn):
                conn.execute(_SQL.candidate_announce)
        return False

    def _acquire_lead(self, conn: BoundedConnection) -> bool:
        if not conn.fetch_first(_SQL.leader_acquire)[0]:
            return False
        if conn.fetch_first(_SQL.legacy_leader_exists)[0]:
            conn.execute(_SQL.leader_release)
            return False
        conn.execute(_SQL.legacy_leader_acquire)
        self._heartbeat(conn)  # fails on a read-only server
        return True

    def _heartbeat(self, conn: BoundedConnection) -> bool:
        """Record a heartbeat; returns whether a candidate that reaches RabbitMQ waits."""
        self._heartbeat_at = time.monotonic()
        state = self._broker.state
        return bool(conn.fetch_first(_SQL.leader_heartbeat, {"broker": state and state.value})[0])

    # -- leading --------------------------------------------------------------------

    def _run_as_leader(self, conn: BoundedConnection) -> None:
        conn.execute(f'listen "{conn.fetch_first(_SQL.channel_name, {"name": "outbox"})[0]}"')
        conn.execute("set synchronous_commit = off")
        self._asleep = False
        helpers = (
            Keeper(self._app, self._db_url, self._broker_url, name=self._title),
            PeriodicRunner(self._app.periodic_tasks, self._db_url, name=self._title),
        )
        for helper in helpers:
            helper.start()
        try:
            self._publish_until_stopped(conn)
        finally:
            for helper in helpers:
                helper.stop(0)
            for helper in helpers:
                helper.stop(_HELPER_STOP_TIMEOUT_S)

    def _publish_until_stopped(self, conn: BoundedConnection) -> None:
        """Publish until `stop`, or until another process should lead."""
        while not self._stopping.is_set():
            if time.monotonic() - self._heartbeat_at >= HEARTBEAT_S:
                if self._heartbeat(conn) and self._broker.state is BrokerState.AWAY:
                    self._resign(conn)
                    return
                self._batches.mark_locked(conn)
            if not self._ensure_connected(conn):
                self._state = self._leading_state()
                self._mark_awake(conn)
                self._stopping.wait(min(_SLEEP_S, self._broker.seconds_until_connect()))
                continue
            self._broker.update_blocked()
            self._state = self._leading_state()
            try:
                published = self._publish(conn)
            except BrokerUnavailable as error:
                self._broker.handle_loss(error)
                continue
            except _StopRequested:
                return
            if published:
                self._broker.handle_confirms()
            if published == 0:
                self._linger = _LINGER_S
                self._sleep(conn)
            elif published < BATCH_SIZE:
                self._sleep_retry = _LINGER_S
                self._stopping.wait(self._linger)
                self._linger = min(_MAX_LINGER_S, self._linger * 2)

    def _ensure_connected(self, conn: BoundedConnection) -> bool:
        return self._broker.ensure_connected(conn, lambda: self._while_unconfirmed(conn))

    def _leading_state(self) -> str:
        state = self._broker.state or BrokerState.AWAY
        return "leading" if state is BrokerState.OK else f"leading, broker {state}"

    def _while_unconfirmed(self, conn: BoundedConnection) -> None:
        """Called each second while confirms are awaited. Raises _StopRequested while blocked."""
        is_blocked = self._broker.update_blocked()
        self._heartbeat(conn)
        if is_blocked:
            self._state = self._leading_state()
            if self._stopping.is_set():
                raise _StopRequested

    def _resign(self, conn: BoundedConnection) -> None:
        self._mark_awake(conn)
        conn.execute(_SQL.leader_release)
        self._campaign_from = time.monotonic() + _RESIGN_PAUSE_S
        self._state = "standby"
        text = "Relay gives the lead to a process that reaches RabbitMQ"
        log.warning(text, extra={"action": "leader_resigned"})

    def _publish(self, conn: BoundedConnection) -> int:
        """Publish one batch; returns the number of messages."""
        publisher, broker = self._broker.publisher, self._broker.connection
        assert publisher is not None and broker is not None
        values = {
            "limit": self._batches.limit,
            "bytes": BATCH_BYTES,
            "asleep": self._asleep,
            "unmarked": list(self._batches.unmarked),
        }
        self._asleep = False
        with conn.cursor(row_factory=namedtuple_row) as cursor:
            rows: list[Any] = cursor.execute(_SQL.fetch_pending, values).fetchall()
        if rows[0].position is None:
            broker.wait(0)
            return 0
        self._batches.publish(conn, publisher, rows, lambda: broker.declare(self._app.topology))
        return len(rows)

    # -- sleeping -------------------------------------------------------------------

    def _sleep(self, conn: BoundedConnection) -> None:
        """Sleep until a sending transaction commits, at most _SLEEP_S seconds."""
        if not conn.fetch_first(_SQL.publisher_sleep)[0]:
            self._stopping.wait(self._sleep_retry)  # a sending transaction is open
            self._sleep_retry = min(_MAX_SLEEP_RETRY_S, self._sleep_retry * 2)
            return
        self._asleep = True
        unmarked = {"unmarked": list(self._batches.unmarked)}
        if not conn.fetch_first(_SQL.has_pending, unmarked)[0]:
            for _ in conn.notifies(timeout=_SLEEP_S, stop_after=1):
                self._sleep_retry = _LINGER_S

    def _mark_awake(self, conn: BoundedConnection) -> None:
        """Release the lock that makes senders notify."""
        if self._asleep:
            self._asleep = False
            conn.execute(_SQL.publisher_wake)


class _StopRequested(Exception):
    """The relay stops while RabbitMQ is blocked; the next leader publishes the batch again."""


class _LeaderMonitor:
    """Detects a frozen leader by its heartbeat, for a candidate."""

    def __init__(self) -> None:
        self._stale_since: float | None = None

    def is_frozen(self, gap: float, age: float) -> bool:
        """Whether the heartbeat has been too old for 2 s.

        gap: seconds since the last check. age: seconds since the heartbeat.
        """
        now = time.monotonic()
        if gap > 3 or age < LEADER_TIMEOUT_S:
            # After a gap this process or the server may have been suspended: start again.
            self._stale_since = None
            return False
        self._stale_since = self._stale_since or now
        if now - self._stale_since <= 2:
            return False
        self._stale_since = None
        return True
