"""Records message and consumer counts of the broker's queues in the database.

So programs that read the database need no broker connection for them.
"""

from __future__ import annotations

import time

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.outbox.subscriptions import TTL
from pizza.taskqueue.topology import Topology

_SQL = Queries("taskqueue/keeper")
_SUBSCRIPTIONS = Queries("taskqueue/subscriber").list_queues

INTERVAL_S = 5.0


class QueueStats:
    """Runs on the keeper's thread and connections."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self._recorded_at = 0.0

    def record(self, broker: BrokerConnection, topology: Topology) -> None:
        """Every INTERVAL_S seconds, record the queues of the topology and of subscriptions.

        Rows of deleted queues are deleted. Raises BrokerUnavailable.
        """
        now = time.monotonic()
        if self._recorded_at and now - self._recorded_at < INTERVAL_S:
            return
        self._recorded_at = now
        subscribed = self._conn.execute(_SUBSCRIPTIONS, {"memory": TTL}).fetchall()
        names = sorted({queue.name for queue in topology.queues} | {row[0] for row in subscribed})
        found = broker.queue_stats(names)
        self._conn.execute(
            _SQL.record_queue_stats,
            {
                "names": list(found),
                "messages": [messages for messages, _ in found.values()],
                "consumers": [consumers for _, consumers in found.values()],
            },
        )
