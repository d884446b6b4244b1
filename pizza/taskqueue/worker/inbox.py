"""Inbox: messages that other programs publish to a queue, without the headers of a task.

Such a message in a queue of `App.external_queue` becomes a row, a message of that queue's task, in
one transaction; then the delivery is acknowledged. From then on it has the guarantees of the
framework: retries, dead-lettering with a reason, one effect for any number of deliveries.
"""

from uuid import NAMESPACE_OID, uuid4, uuid5

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.task import MAX_PRIORITY, Task, traced_headers

_SQL = Queries("taskqueue/messages")


def accept(conn: BoundedConnection, delivery: Delivery, task: Task) -> bool:
    """Insert an external delivery as a message of `task`. Returns False for a duplicate.

    Deliveries with the same message_id are one message. Without a message_id, a redelivery of the
    same body within an hour is the same message. Raises PoisonMessage for a delivery whose
    properties could not be decoded.
    """
    delivery.check_decodable()
    identified = bool(delivery.message_id)
    name = f"{delivery.queue}/{delivery.message_id}"
    limit = task.max_priority(delivery.queue)
    row = conn.fetch_first(
        _SQL.accept,
        {
            "id": uuid5(NAMESPACE_OID, name) if identified else uuid4(),
            "identified": identified,
            "redelivered": delivery.redelivered,
            "task": task.name,
            "queue": delivery.queue,
            "priority": max(0, min(delivery.priority, MAX_PRIORITY if limit is None else limit)),
            "body": delivery.body,
            "headers": traced_headers(delivery.reply_headers),
        },
    )
    return bool(row[0])
