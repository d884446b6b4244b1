"""The relay: publishes what transactions wrote, in one process at a time.

Any number of processes run this thread; one of them leads, by a session lock that frees itself when
its process ends. The leader publishes on this thread; a keeper and a runner of periodic tasks work
beside it, each with a connection of its own. A leader that is frozen keeps its lock, so the
candidates watch its heartbeat and end its session. A leader that cannot reach RabbitMQ gives the
lead to a candidate that can.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.outbox.batch import BATCH, BATCH_BYTES, Batches
from pizza.taskqueue.outbox.broker_link import RelayLink
from pizza.taskqueue.outbox.keeper import Keeper
from pizza.taskqueue.outbox.periodic import PeriodicRunner
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.worker.session import MISSING_TABLES, NO_TABLES

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/relay")

HEARTBEAT_S = 1.0
LEADER_TIMEOUT_S = 8.0
_CAMPAIGN_S = 0.25
_SLEEP_S = 0.5
# While a transaction that has sent something is open the publisher cannot sleep; it looks again
# after pauses that grow to this.
_LONGEST_NAP_S = 0.05
# Between batches while messages keep coming: few statements for many messages. The first
# message after a pause is published at once.
_LINGER_S = 0.002
_LINGER_LONGEST_S = 0.016
# How long a leader that has given the lead back leaves it to others.
_RESIGNED_S = 5.0
_STOP_HELPERS_S = 1.0
_LOCK_TIMEOUT = "100ms"


class Relay(threading.Thread):
    """Publishes an app's outbox in a background thread until `stop`."""

    def __init__(self, app: App, db_url: str, broker_url: str, *, name: str) -> None:
        super().__init__(name="relay", daemon=True)
        self._app = app
        self._db_url = db_url
        self._broker_url = broker_url
        self._title = f"{name} relay"
        self._end = threading.Event()
        self._state = "starting"
        self._link = RelayLink(app, broker_url, self._title)
        self._batches = Batches()
        self._asleep = False
        self._nap = _LINGER_S
        self._linger = _LINGER_S
        self._heartbeat_at = 0.0
        self._campaign_from = 0.0

    def state(self) -> str:
        """One of: starting, standby, leading, leading, broker away, leading, broker blocked,
        database away, stopped.
        """
        return self._state

    def stop(self, timeout: float) -> None:
        """Stop; what is not published stays for the next leader. Waits up to `timeout` seconds."""
        self._end.set()
        if self.is_alive():
            self.join(timeout)

    def run(self) -> None:
        """Stand by, lead, come back: until `stop`."""
        backoff = Backoff()
        while not self._end.is_set():
            began = time.monotonic()
            try:
                with connect(self._db_url, name=self._title) as conn, translate_errors():
                    conn.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
                    if self._campaign(conn):
                        self._lead(conn)
            except (DatabaseUnavailable, psycopg.DatabaseError) as error:
                if self._state != "database away":
                    reason = NO_TABLES if isinstance(error, MISSING_TABLES) else error
                    log.warning("Relay: %s; trying again", reason, extra={"action": "relay_lost"})
                self._state = "database away"
                self._pause(backoff, began)
            except Exception:
                log.exception("Relay failed; starting over", extra={"action": "relay_failed"})
                self._pause(backoff, began)
            finally:
                self._link.drop()
        self._state = "stopped"

    def _pause(self, backoff: Backoff, began: float) -> None:
        """Wait before the next try; briefly if it had gone well for a while."""
        if time.monotonic() - began > Backoff.LONGEST_S:
            backoff.reset()
        self._end.wait(backoff.next())

    # -- election -------------------------------------------------------------------

    def _campaign(self, conn: BoundedConnection) -> bool:
        """Stand by until the lock is ours; False when stopped before."""
        watched = _WatchedLeader()
        looked_at = time.monotonic()
        while not self._end.is_set():
            now = time.monotonic()
            if now >= self._campaign_from and self._elected(conn):
                log.info("Relay leads", extra={"action": "relay_leading"})
                return True
            self._state = "standby"
            self._end.wait(_CAMPAIGN_S)
            if time.monotonic() - looked_at < HEARTBEAT_S:
                continue
            gap, looked_at = time.monotonic() - looked_at, time.monotonic()
            age, without_broker = conn.fetch_first(_SQL.leader_status)
            if watched.is_frozen(gap, age):
                log.warning("Leading relay is frozen", extra={"action": "relay_deposed"})
                conn.execute(_SQL.leader_terminate)
            if not without_broker:
                self._link.drop()
            elif self._connected(conn):
                conn.execute(_SQL.candidate_announce)
        return False

    def _elected(self, conn: BoundedConnection) -> bool:
        if not conn.fetch_first(_SQL.leader_acquire)[0]:
            return False
        if conn.fetch_first(_SQL.legacy_leader_exists)[0]:
            conn.execute(_SQL.leader_release)
            return False
        conn.execute(_SQL.legacy_leader_acquire)
        self._heartbeat(conn)  # a server that takes no writes shows it here
        return True

    def _heartbeat(self, conn: BoundedConnection) -> bool:
        """Say that the leader is alive; answers whether a better candidate is waiting."""
        self._heartbeat_at = time.monotonic()
        return bool(
            conn.fetch_first(_SQL.leader_heartbeat, {"broker": self._link.broker_state()})[0]
        )

    # -- leading --------------------------------------------------------------------

    def _lead(self, conn: BoundedConnection) -> None:
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
                helper.stop(_STOP_HELPERS_S)

    def _publish_until_stopped(self, conn: BoundedConnection) -> None:
        """Publish until `stop`, or until somebody else should lead."""
        while not self._end.is_set():
            if time.monotonic() - self._heartbeat_at >= HEARTBEAT_S:
                if self._heartbeat(conn) and self._link.away:
                    self._resign(conn)
                    return
                self._batches.mark_the_rest(conn)
            if not self._connected(conn):
                self._state = self._state_without_broker()
                self._wake_up(conn)
                self._end.wait(min(_SLEEP_S, self._link.next_try_in()))
                continue
            self._state = "leading, broker blocked" if self._link.is_blocked() else "leading"
            try:
                published = self._publish(conn)
            except BrokerUnavailable as error:
                self._link.lost(error)
                continue
            except _Stopping:
                return
            if published:
                self._link.confirmed()
            if published == 0:
                self._linger = _LINGER_S
                self._sleep(conn)
            elif published < BATCH:
                self._nap = _LINGER_S
                self._end.wait(self._linger)
                self._linger = min(_LINGER_LONGEST_S, self._linger * 2)

    def _connected(self, conn: BoundedConnection) -> bool:
        return self._link.connected(conn, lambda: self._while_unconfirmed(conn))

    def _state_without_broker(self) -> str:
        return "leading, broker blocked" if self._link.blocked else "leading, broker away"

    def _while_unconfirmed(self, conn: BoundedConnection) -> None:
        """Called each second while confirms are awaited. Raises _Stopping if none may come."""
        is_blocked = self._link.is_blocked()
        self._heartbeat(conn)
        if is_blocked:
            self._state = "leading, broker blocked"
            if self._end.is_set():
                raise _Stopping

    def _resign(self, conn: BoundedConnection) -> None:
        self._wake_up(conn)
        conn.execute(_SQL.leader_release)
        self._campaign_from = time.monotonic() + _RESIGNED_S
        self._state = "standby"
        log.warning(
            "Relay gives the lead to a process that reaches RabbitMQ",
            extra={"action": "relay_resigned"},
        )

    def _publish(self, conn: BoundedConnection) -> int:
        """Publish one batch; returns how many messages there were."""
        publisher, broker = self._link.publisher, self._link.broker
        assert publisher is not None and broker is not None
        look = {
            "limit": self._batches.limit, "bytes": BATCH_BYTES, "asleep": self._asleep,
            "unmarked": list(self._batches.unmarked),
        }  # fmt: skip
        self._asleep = False
        with conn.cursor(row_factory=namedtuple_row) as cursor:
            rows: list[Any] = cursor.execute(_SQL.fetch_pending, look).fetchall()
        if rows[0].position is None:
            broker.wait(0)
            return 0
        self._batches.publish(conn, publisher, rows, lambda: broker.declare(self._app.topology))
        return len(rows)

    # -- sleeping -------------------------------------------------------------------

    def _sleep(self, conn: BoundedConnection) -> None:
        """Sleep until a transaction that sent something commits, or for a while."""
        if not conn.fetch_first(_SQL.publisher_sleep)[0]:
            self._end.wait(self._nap)  # somebody has sent something and is yet to commit
            self._nap = min(_LONGEST_NAP_S, self._nap * 2)
            return
        self._asleep = True
        unmarked = {"unmarked": list(self._batches.unmarked)}
        if not conn.fetch_first(_SQL.has_pending, unmarked)[0]:
            for _ in conn.notifies(timeout=_SLEEP_S, stop_after=1):
                self._nap = _LINGER_S

    def _wake_up(self, conn: BoundedConnection) -> None:
        """Be awake for senders: none of them has to notify."""
        if self._asleep:
            self._asleep = False
            conn.execute(_SQL.publisher_wake)


class _Stopping(Exception):
    """The relay stops while RabbitMQ takes no messages; the next leader publishes them again."""


class _WatchedLeader:
    """What a candidate has seen of the leader's heartbeat."""

    def __init__(self) -> None:
        self._stale_since: float | None = None

    def is_frozen(self, gap: float, age: float) -> bool:
        """Whether the heartbeat has been old for some looks. gap: seconds since the last look."""
        now = time.monotonic()
        if gap > 3 or age < LEADER_TIMEOUT_S:
            # After a gap it may be we, or the server, who slept: judge nobody yet.
            self._stale_since = None
            return False
        self._stale_since = self._stale_since or now
        if now - self._stale_since <= 2:
            return False
        self._stale_since = None
        return True
