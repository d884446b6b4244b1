"""The keeper: the leader's maintenance, in slices that never wait for a row lock.

It stages due messages, rescues claims of dead workers, republishes lost messages, records queue
statistics, imports dead letters, prunes ids and vacuums. The publisher waits for none of it.
"""

import time

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.dead_letters.importer import DeadLetterImporter
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.outbox import subscriptions
from pizza.taskqueue.outbox.leader_thread import LeaderThread
from pizza.taskqueue.outbox.republisher import Republisher
from pizza.taskqueue.outbox.rescuer import Rescuer
from pizza.taskqueue.outbox.vacuum import Vacuum
from pizza.taskqueue.retry import Backoff

_SQL = Queries("taskqueue/keeper")
_CHANNEL = Queries("taskqueue/relay").channel_name
_LIST_QUEUES = Queries("taskqueue/subscriber").list_queues

TICK_S = 1.0
_STATS_S = 5.0
_PRUNE_S = 30.0
_PRUNE_LIMIT = 2000
_STATEMENT_TIMEOUT_S = 10.0
_LOCK_TIMEOUT = "500ms"
# The publisher works by position, so new messages wait behind at most this many due ones.
PENDING_LIMIT = 1000
_LONGEST_PAUSE_S = 1.0
_SHORTEST_PAUSE_S = 0.02
# While the publisher makes no progress, because RabbitMQ is away.
_FULL_PAUSE_S = 0.25


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
        self._recorded_at = 0.0

    def work(self, conn: BoundedConnection) -> None:
        """Run all maintenance until `stop`."""
        conn.statement_timeout = _STATEMENT_TIMEOUT_S
        conn.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
        conn.execute("set synchronous_commit = off")
        conn.execute(f'listen "{conn.fetch_first(_CHANNEL, {"name": "keeper"})[0]}"')
        stager, rescuer = Stager(conn), Rescuer(conn)
        republisher, importer = Republisher(conn, self._app.topology), DeadLetterImporter(conn)
        self._recorded_at = -_STATS_S
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
                self._run_broker_steps(conn, republisher, importer)
                is_busy = republisher.is_busy or importer.is_busy
                pause = min(stager.pause, 0.0 if is_busy else TICK_S)
                for _ in conn.notifies(timeout=pause, stop_after=1):
                    pass
        finally:
            self._vacuum.wait(0)
            self._close_broker()

    def _run_broker_steps(
        self, conn: BoundedConnection, republisher: Republisher, importer: DeadLetterImporter
    ) -> None:
        """The steps that need the broker; without it they wait."""
        try:
            broker = self._connect(conn, republisher)
            if broker is None:
                return
            self.attempt("queue statistics", conn, lambda: self._record_stats(conn, broker))
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

    def _record_stats(self, conn: BoundedConnection, broker: BrokerConnection) -> None:
        """Record message and consumer counts of the queues of the topology and of subscriptions.

        So programs that read the database need no broker connection for them. Rows of deleted
        queues are deleted. Raises BrokerUnavailable.
        """
        now = time.monotonic()
        if now - self._recorded_at < _STATS_S:
            return
        self._recorded_at = now
        subscribed = conn.execute(_LIST_QUEUES, {"memory": subscriptions.TTL}).fetchall()
        names = {queue.name for queue in self._app.topology.queues} | {row[0] for row in subscribed}
        found = broker.queue_stats(sorted(names))
        conn.execute(
            _SQL.record_queue_stats,
            {
                "names": list(found),
                "messages": [messages for messages, _ in found.values()],
                "consumers": [consumers for _, consumers in found.values()],
            },
        )


class Stager:
    """Makes scheduled messages pending when they are due. pause: seconds until the next `stage`."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self.pause = 0.0

    def stage(self) -> None:
        """Make one slice of due messages pending; sets `pause`."""
        before, self.pause = self.pause, _FULL_PAUSE_S
        staged, _, room = self._conn.fetch_first(_SQL.stage_due, {"pending_limit": PENDING_LIMIT})
        if room == 0:
            self.pause = min(_FULL_PAUSE_S, max(_SHORTEST_PAUSE_S, before * 2))
        elif staged == room:
            self.pause = _SHORTEST_PAUSE_S
        else:
            due = self._conn.fetch_first(_SQL.seconds_until_due)[0]
            # What is due and could not be staged is locked.
            seconds = _LONGEST_PAUSE_S if due is None else due if due > 0 else _FULL_PAUSE_S
            self.pause = min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S / 4, seconds))
