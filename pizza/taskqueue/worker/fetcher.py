"""Fetches the best delivery on one broker connection, and keeps no other.

An idle worker consumes from all of its queues (prefetch 1 each), so RabbitMQ distributes messages
round robin among idle workers. After the first arrival the consumers are cancelled, the best
delivery is claimed at once, and the others are requeued, so that another worker can start them.
After a job, the database names the queue with the best message, and the worker gets the head of
that queue. The claim of any other delivery checks that no better message waits in another queue.
So messages are processed by priority, then age, across all queues, with one request to the broker
for each job.

A queue cannot be searched, so a worker with tags gets its messages from the database instead
(`find_match`).
"""

from collections.abc import Callable, Sequence

from pizza.database.connection import translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import Released
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.worker.executor import Outcome, Result

_FIND_MATCH = Queries("taskqueue/messages").find_match

# After so many redirects to another queue in a row, the worker processes what it has.
_MAX_REDIRECTS = 3


class Fetcher:
    """Fetches on one broker connection; used by the work thread that owns the connection.

    has_prefetched: whether there may be deliveries to release.
    """

    def __init__(self, broker: BrokerConnection, queues: Sequence[str]) -> None:
        self.broker = broker
        self._queues = queues
        self._prefetched: list[Delivery] = []  # without the best, which is being processed
        self.has_prefetched = False
        self._next_queue: str | None = None
        self._redirects = 0

    def next(self, wait: Callable[[], bool]) -> Delivery | None:
        """The next delivery. Calls `wait` until one arrives; None if `wait` returns False."""
        return self._get() or self._consume(wait)

    @property
    def skip_priority_check(self) -> bool:
        """Whether to claim the next delivery even if a better message waits."""
        return self._redirects >= _MAX_REDIRECTS

    def _get(self) -> Delivery | None:
        """The head of the queue that the database named."""
        name, self._next_queue = self._next_queue, None
        message = self.broker.get(name) if name else None
        return Delivery.from_amqp(name, message) if name and message is not None else None

    def _consume(self, wait: Callable[[], bool]) -> Delivery | None:
        """Consume from all queues until something arrives; returns the best delivery."""
        arrived = self._prefetched
        arrived.clear()
        self.broker.consume(
            self._queues, lambda name, message: arrived.append(Delivery.from_amqp(name, message))
        )
        self.has_prefetched = True
        go_on = True
        while go_on and not arrived:
            go_on = wait()
        self.broker.cancel(self._queues)
        if not go_on:
            self.release_prefetched()
            return None
        best = min(arrived, key=lambda each: each.sort_key)
        arrived.remove(best)
        return best

    def release_prefetched(self) -> None:
        """Wait until the cancelled consumers have ended, then requeue the other deliveries."""
        if not self.has_prefetched:
            return
        self.has_prefetched = False
        self.broker.drain_cancelled(self._queues)
        for each in self._prefetched:
            self.broker.requeue(each.delivery_tag)

    def acknowledge(self, delivery: Delivery, result: Result) -> None:
        """Ack or requeue a processed delivery, and remember the queue to get from next."""
        self.release_prefetched()
        if result.requeue:
            self.broker.requeue(delivery.delivery_tag)
        else:
            self.broker.ack(delivery.delivery_tag)
        self._next_queue = result.next_queue
        self._redirects = self._redirects + 1 if result.outcome is Outcome.PREEMPTED else 0


def find_match(
    db: ReconnectingConnection, queues: Sequence[str], worker_tags: Sequence[str]
) -> Delivery | None:
    """The best message in `queues` that a worker with these tags may process.

    None if no message matches, if PostgreSQL is unavailable, or if the worker has to stop.
    """
    try:
        with translate_errors():
            values = {"queues": list(queues), "skills": list(worker_tags)}
            row = db.connection().execute(_FIND_MATCH, values).fetchone()
    except DatabaseUnavailable as error:
        db.invalidate(error)
        return None
    except Released:
        return None
    return Delivery.from_row(row) if row is not None else None
