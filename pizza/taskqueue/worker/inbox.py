"""Messages from outside: any AMQP client may write to a queue, without knowing of tasks.

A delivery that names no task, in a queue for which the application has named one, is made a message
of that task, in one transaction; then it is acked. From there on it has the framework's promise:
retried, dead-lettered with a reason, its effect once however often it is delivered.
"""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid4, uuid5

from psycopg.types.json import Jsonb

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue import trace
from pizza.taskqueue.message import CORRELATION_ID, REPLY_TO, Delivery
from pizza.taskqueue.task import MAX_PRIORITY, Task

_SQL = Queries("taskqueue/messages")
_ACCEPT = _SQL.accept


def adopt(conn: BoundedConnection, delivery: Delivery, task: Task) -> bool:
    """Make an external delivery a message of `task`; False when that was done before.

    The producer's message_id tells two deliveries of one message from two messages. Without one,
    a redelivery of the same body within an hour counts as the same message. Raises PoisonMessage
    for a delivery whose properties could not be decoded.
    """
    delivery.check_decodable()
    identified = bool(delivery.message_id)
    name = f"{delivery.queue}/{delivery.message_id}"
    row = conn.execute(
        _ACCEPT,
        {
            "id": uuid5(NAMESPACE_OID, name) if identified else uuid4(),
            "identified": identified,
            "redelivered": delivery.redelivered,
            "task": task.name,
            "queue": delivery.queue,  # whoever serves it there may work on it
            "priority": max(0, min(delivery.priority, _most(task, delivery.queue))),
            "body": delivery.body,
            "headers": Jsonb(_way_back(delivery)),
        },
    ).fetchone()
    assert row is not None
    return bool(row[0])


def _most(task: Task, queue: str) -> int:
    most = task.max_priority(queue)
    return MAX_PRIORITY if most is None else most


def _way_back(delivery: Delivery) -> dict[str, str]:
    """Where the producer wants its answer, if it said so; and the trace it is part of."""
    given = {
        REPLY_TO: delivery.reply_to,
        CORRELATION_ID: delivery.correlation_id,
        trace.HEADER: trace.current(),
    }
    return {name: value for name, value in given.items() if isinstance(value, str)}
