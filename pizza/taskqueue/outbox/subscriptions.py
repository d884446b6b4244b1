"""Durable subscriptions: the queues of named subscribers, stored in the database.

A broker that lost its disk has lost the queues as well, and messages published before a queue is
redeclared are lost for its subscriber. So the relay declares these queues at each connection,
before it publishes.
"""

import logging
from datetime import timedelta

from kombu import Queue

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.errors import TopologyRefused
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.topology import Topology

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/subscriber")

# A queue is redeclared until its subscriber has been away for this time; an abandoned queue would
# fill up indefinitely.
TTL = timedelta(days=7)


def register(conn: BoundedConnection, subscriber: str, queue: Queue) -> None:
    """Store a durable queue with one binding, under the name of its subscriber."""
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
    """Update the last use of each subscription, and delete those unused for TTL."""
    conn.execute(_SQL.mark_seen)
    conn.execute(_SQL.delete_expired_queues, {"memory": TTL})


def declare_all(conn: BoundedConnection, broker: BrokerConnection, topology: Topology) -> None:
    """Declare the stored queues on exchanges of the topology. Raises BrokerUnavailable.

    A queue that exists with other properties stays as it is; a warning is logged.
    """
    exchanges = {exchange.name: exchange for exchange in topology.exchanges}
    for name, exchange, routing_key in conn.execute(_SQL.list_queues, {"memory": TTL}).fetchall():
        if exchange not in exchanges:
            continue
        queue = Queue(name, exchanges[exchange], routing_key=routing_key, durable=True)
        try:
            broker.declare(Topology(queues=(queue,)))
        except TopologyRefused:
            text = f"Queue {name} exists with other properties"
            log_action(log.warning, "queue_differs", text, {"queue": name})
