"""The relay: publishes what transactions wrote, and sees that no message is forgotten.

Any number of processes run this thread; one of them leads, by a session lock that frees
itself when its process ends. A leader that is frozen keeps its lock, so the others watch
its heartbeat and end its session.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import psycopg

from pizza.database.connection import BoundedConnection, available, connect
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.framework import kept
from pizza.framework.app import App
from pizza.framework.broker import Broker
from pizza.framework.chores import Turns
from pizza.framework.depths import Depths
from pizza.framework.errors import BrokerUnavailable
from pizza.framework.outbox import BATCH, Outbox
from pizza.framework.publisher import Publisher
from pizza.framework.retry import Backoff
from pizza.framework.sweep import Sweep

log = logging.getLogger(__name__)

T = TypeVar("T")

_SQL = Queries("relay")

SWEEP_S = 1.0
_STANDBY_S = 0.25
_JUDGE_S = 1.0
_DOZE_S = 0.5
# Between batches while messages keep coming: few statements for many messages. The first
# message after a pause is published at once.
_LINGER_S = 0.002
_LINGER_LONGEST_S = 0.016
_FROZEN_S = 15.0


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
        self._broker: Broker | None = None
        self._publisher: Publisher | None = None
        self._broker_backoff = Backoff()
        self._broker_next_try = 0.0
        self._broker_away = False
        self._outbox = Outbox()
        self._asleep = False
        self._due = 0.0
        self._linger = _LINGER_S

    def state(self) -> str:
        """One of: starting, standby, leading, leading, broker away, database away, stopped."""
        return self._state

    def stop(self, timeout: float) -> None:
        """Stop; what is not published stays for the next leader. Waits up to `timeout` seconds."""
        self._end.set()
        if self.is_alive():
            self.join(timeout)

    # -- leading --------------------------------------------------------------------

    def run(self) -> None:
        """Stand by, lead, come back: until `stop`."""
        backoff = Backoff()
        while not self._end.is_set():
            began = time.monotonic()
            try:
                with connect(self._db_url, name=self._title) as conn, available():
                    if self._await_lead(conn):
                        self._lead(conn)
            except (DatabaseUnavailable, psycopg.DatabaseError) as error:
                if self._state != "database away":
                    log.warning("Relay: %s; trying again", error, extra={"action": "relay_lost"})
                self._state = "database away"
                self._rest(backoff, began)
            except Exception:
                log.exception("Relay failed; starting over", extra={"action": "relay_failed"})
                self._rest(backoff, began)
            finally:
                self._drop_broker()
        self._state = "stopped"

    def _rest(self, backoff: Backoff, began: float) -> None:
        """Wait before the next try; briefly if it had gone well for a while."""
        if time.monotonic() - began > Backoff.LONGEST_S:
            backoff.reset()
        self._end.wait(backoff.next())

    def _await_lead(self, conn: BoundedConnection) -> bool:
        """Stand by until the lock is ours; False when stopped before."""
        stale_since: float | None = None
        judged = time.monotonic()
        while not self._end.is_set():
            if _one(conn, _SQL.lead):
                conn.execute(_SQL.announce)  # a server that takes no writes shows it here
                log.info("Relay leads", extra={"action": "relay_leading"})
                return True
            self._state = "standby"
            self._end.wait(_STANDBY_S)
            now = time.monotonic()
            if now - judged < _JUDGE_S:
                continue
            gap, judged = now - judged, now
            if gap > 3 or _one(conn, _SQL.leader_age) < _FROZEN_S:
                # After a gap it may be we, or the server, who slept: judge nobody yet.
                stale_since = None
            else:
                stale_since = stale_since or now
                if now - stale_since > 3:
                    log.warning("Leading relay is frozen", extra={"action": "relay_deposed"})
                    conn.execute(_SQL.depose)
                    stale_since = None
        return False

    def _lead(self, conn: BoundedConnection) -> None:
        conn.execute("listen outbox")
        conn.execute("set synchronous_commit = off")
        sweep, turns = Sweep(conn), Turns(self._app.chores, conn)
        depths = Depths(conn)
        swept = 0.0
        self._asleep = False
        while not self._end.is_set():
            now = time.monotonic()
            if now >= self._due or now - swept >= SWEEP_S:
                swept, self._due = now, now + SWEEP_S
                self._rouse(conn)
                conn.execute(_SQL.announce)
                sweep.tidy()
                self._guarded(partial(self._audit, conn, sweep, depths))
                turns.take()
            if not self._connected(conn):
                self._state = "leading, broker away"
                self._rouse(conn)
                self._end.wait(min(_DOZE_S, max(0.02, self._broker_next_try - time.monotonic())))
                continue
            self._state = "leading"
            published = self._guarded(partial(self._publish, conn)) or 0
            if published == 0:
                self._linger = _LINGER_S
                self._doze(conn, _DOZE_S)
            elif published < BATCH:
                self._end.wait(self._linger)
                self._linger = min(_LINGER_LONGEST_S, self._linger * 2)

    def _audit(self, conn: BoundedConnection, sweep: Sweep, depths: Depths) -> None:
        if self._connected(conn) and self._broker is not None:
            sweep.audit(self._broker, self._app.topology)
            depths.look(self._broker, self._app.topology)

    def _guarded(self, step: Callable[[], T]) -> T | None:
        """Run a step that speaks to the broker; its loss ends the connection, not the lead."""
        try:
            return step()
        except BrokerUnavailable as error:
            self._lost_broker(error)
            return None

    def _publish(self, conn: BoundedConnection) -> int:
        """Publish one batch; returns how many messages there were."""
        assert self._publisher is not None and self._broker is not None
        look = {"limit": self._outbox.limit, "asleep": self._asleep}
        self._asleep = False
        rows = conn.execute(_SQL.pending, look).fetchall()
        if rows[0][0] is None:
            self._broker.wait(0)
            return 0
        if not self._outbox.publish(conn, self._publisher, rows):
            self._broker.declare(self._app.topology)
            self._end.wait(0.1)
        return len(rows)

    # -- sleeping -------------------------------------------------------------------

    def _doze(self, conn: BoundedConnection, longest: float) -> None:
        """Sleep until a transaction that sent something commits, or for `longest` seconds."""
        if not _one(conn, _SQL.doze):
            self._end.wait(0.002)  # somebody is about to commit
            return
        self._asleep = True
        pending, due_in = _row(conn, _SQL.outlook)
        self._due = time.monotonic() + (_DOZE_S if due_in is None else due_in)
        if not pending:
            wait = min(longest, max(0.01, self._due - time.monotonic()))
            for _ in conn.notifies(timeout=wait, stop_after=1):
                pass

    def _rouse(self, conn: BoundedConnection) -> None:
        """Be awake for senders: none of them has to notify."""
        if self._asleep:
            self._asleep = False
            conn.execute(_SQL.rouse)

    # -- the broker -----------------------------------------------------------------

    def _connected(self, conn: BoundedConnection) -> bool:
        if self._broker is not None:
            return True
        if time.monotonic() < self._broker_next_try:
            return False
        try:
            self._broker = Broker(self._broker_url, name=self._title)
            self._broker.declare(self._app.topology)
            kept.declare(conn, self._broker, self._app.topology)
            self._publisher = Publisher(self._broker)
        except BrokerUnavailable as error:
            self._lost_broker(error)
            return False
        if self._broker_away:
            self._broker_away = False
            log.info("RabbitMQ is back", extra={"action": "broker_reconnected"})
        self._broker_backoff.reset()
        return True

    def _lost_broker(self, error: BrokerUnavailable) -> None:
        self._drop_broker()
        self._broker_next_try = time.monotonic() + self._broker_backoff.next()
        if not self._broker_away:
            self._broker_away = True
            log.warning("Relay: %s; trying again", error, extra={"action": "broker_lost"})

    def _drop_broker(self) -> None:
        if self._broker is not None:
            self._broker.close()
        self._broker = self._publisher = None


def _row(conn: BoundedConnection, query: str) -> Any:
    row = conn.execute(query).fetchone()
    assert row is not None
    return row


def _one(conn: BoundedConnection, query: str) -> Any:
    return _row(conn, query)[0]
