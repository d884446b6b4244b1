"""The keeper: the leader's maintenance, in slices that never wait for a row lock.

It stages due messages, rescues claims of dead workers, republishes lost messages, records queue
statistics, imports dead letters, prunes ids and vacuums. The publisher waits for none of it.
"""

from __future__ import annotations

import time

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.dead_letters.importer import DeadLetterImporter
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.outbox import subscriptions
from pizza.taskqueue.outbox.leader_thread import LeaderThread
from pizza.taskqueue.outbox.queue_stats import QueueStats
from pizza.taskqueue.outbox.republisher import Republisher
from pizza.taskqueue.outbox.rescuer import Rescuer
from pizza.taskqueue.outbox.stager import Stager
from pizza.taskqueue.outbox.vacuum import Vacuum
from pizza.taskqueue.retry import Backoff

_SQL = Queries("taskqueue/keeper")
_CHANNEL = Queries("taskqueue/relay").channel_name

TICK_S = 1.0
_PRUNE_S = 30.0
_PRUNE_LIMIT = 2000
_STATEMENT_TIMEOUT_S = 10.0
_LOCK_TIMEOUT = "500ms"


class Keeper(LeaderThread):
    """One leader's keeper."""

    def __init__(self, app: App, db_url: str, broker_url: str, *, name: str) -> None:
        super().__init__(db_url, name="keeper", title=f"{name} keeper")
        self._app = app
        self._broker_url = broker_url
        self._vacuum = Vacuum(db_url)
        self._broker: BrokerConnection | None = None
        self._backoff = Backoff()
        self._connect_from = 0.0
        self._pruned_at = 0.0

    def work(self, conn: BoundedConnection) -> None:
        """Run all maintenance until `stop`."""
        conn.statement_timeout = _STATEMENT_TIMEOUT_S
        conn.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
        conn.execute("set synchronous_commit = off")
        conn.execute(f'listen "{conn.fetch_first(_CHANNEL, {"name": "keeper"})[0]}"')
        stager, rescuer = Stager(conn), Rescuer(conn)
        republisher, stats = Republisher(conn, self._app.topology), QueueStats(conn)
        importer = DeadLetterImporter(conn)
        ticked = -TICK_S
        try:
            while not self._stopping.is_set():
                self.attempt("staging of due messages", conn, stager.stage)
                if time.monotonic() - ticked >= TICK_S:
                    ticked = time.monotonic()
                    self.attempt("rescue of messages", conn, rescuer.rescue)
                    self.attempt(
                        "vacuum", conn, lambda: self._vacuum.maybe_run(conn, self.log_throttled)
                    )
                    self.attempt("pruning", conn, lambda: self._prune(conn))
                self._run_broker_steps(conn, republisher, stats, importer)
                is_busy = republisher.is_busy or importer.is_busy
                pause = min(stager.pause, 0.0 if is_busy else TICK_S)
                for _ in conn.notifies(timeout=pause, stop_after=1):
                    pass
        finally:
            self._vacuum.wait(0)
            self._close_broker()

    def _run_broker_steps(
        self,
        conn: BoundedConnection,
        republisher: Republisher,
        stats: QueueStats,
        importer: DeadLetterImporter,
    ) -> None:
        """The steps that need the broker; without it they wait."""
        try:
            broker = self._connect(conn, republisher)
            if broker is None:
                return
            self.attempt("queue statistics", conn, lambda: stats.record(broker, self._app.topology))
            self.attempt("publishing of lost messages", conn, lambda: republisher.step(broker))
            self.attempt("import of dead letters", conn, lambda: importer.step(broker))
            broker.wait(0)
        except BrokerUnavailable:
            # The publisher logs it.
            self._close_broker()
            self._connect_from = time.monotonic() + self._backoff.next()

    def _connect(
        self, conn: BoundedConnection, republisher: Republisher
    ) -> BrokerConnection | None:
        if self._broker is None and time.monotonic() >= self._connect_from:
            self._broker = BrokerConnection(self._broker_url, name=self._title)
            self._broker.declare(self._app.topology)
            subscriptions.declare_all(conn, self._broker, self._app.topology)
            republisher.use_connection(self._broker)
            self._backoff.reset()
        return self._broker

    def _close_broker(self) -> None:
        if self._broker is not None:
            self._broker.close()
        self._broker = None

    def _prune(self, conn: BoundedConnection) -> None:
        now = time.monotonic()
        if now - self._pruned_at < _PRUNE_S:
            return
        self._pruned_at = now
        conn.execute(_SQL.prune_identities, {"limit": _PRUNE_LIMIT})
        subscriptions.prune(conn)
