"""The queues of named subscribers: known to the database, so that the relay can declare them.

A broker that lost its disk has lost them too, and their subscribers may be away, or slower to come
back than the relay. What is published before its queue is there again a subscriber never hears.
So the relay declares them at each connection, before it publishes anything.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from kombu import Queue

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.topology import Topology

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/subscriber")

# So long a queue is declared again without its subscriber having shown itself. One that is
# abandoned for good would fill up for ever.
TTL = timedelta(days=7)


def register(conn: BoundedConnection, subscriber: str, queue: Queue) -> None:
    """Note a durable queue with one binding, under the name that its subscriber holds."""
    conn.execute(
        _SQL.register_queue,
        {
            "queue": queue.name,
            "name": subscriber,
            "exchange": queue.exchange.name,
            "routing_key": queue.routing_key or "",
        },
    )


def prune(conn: BoundedConnection) -> None:
    """Note which subscribers are at work, and forget those that were not for TTL."""
    conn.execute(_SQL.mark_seen)
    conn.execute(_SQL.delete_expired_queues, {"memory": TTL})


def declare_all(conn: BoundedConnection, broker: BrokerConnection, topology: Topology) -> None:
    """Declare what was noted, on exchanges of the topology. Raises BrokerUnavailable.

    A queue that exists with other properties is left as it is: its subscriber will say so.
    """
    exchanges = {exchange.name: exchange for exchange in topology.exchanges}
    for name, exchange, routing_key in conn.execute(_SQL.list_queues, {"memory": TTL}).fetchall():
        if exchange not in exchanges:
            continue
        queue = Queue(name, exchanges[exchange], routing_key=routing_key, durable=True)
        if not broker.try_declare(queue):
            log.warning(
                "Queue %s exists with other properties", name,
                extra={"action": "queue_differs", "details": {"queue": name}},
            )  # fmt: skip
