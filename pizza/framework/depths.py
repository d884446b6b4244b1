"""How much lies in the broker's queues, noted in the database by the relay that leads.

So whoever can read the database knows it, and needs no way to the broker: the depth of the
dead-letter queue, of a subscriber's queue that nobody reads, the number of consumers.
"""

from __future__ import annotations

import time

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.framework.broker import Broker
from pizza.framework.kept import MEMORY
from pizza.framework.topology import Topology

_SQL = Queries("relay")
_KEPT = Queries("subscriber").kept

LOOK_S = 5.0


class Depths:
    """The looking of one leader, on its database connection."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self._looked = 0.0

    def look(self, broker: Broker, topology: Topology) -> None:
        """Every LOOK_S seconds, note each queue of the topology and each kept one.

        A queue that is gone is forgotten. Raises BrokerUnavailable.
        """
        now = time.monotonic()
        if self._looked and now - self._looked < LOOK_S:
            return
        self._looked = now
        kept = self._conn.execute(_KEPT, {"memory": MEMORY}).fetchall()
        names = sorted({queue.name for queue in topology.queues} | {row[0] for row in kept})
        found = broker.depths(names)
        self._conn.execute(
            _SQL.depths,
            {
                "names": list(found),
                "messages": [messages for messages, _ in found.values()],
                "consumers": [consumers for _, consumers in found.values()],
            },
        )
