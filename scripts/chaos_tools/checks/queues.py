"""The messages in queues of the broker, and the dead letters."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import amqp
from amqp.exceptions import NotFound

from chaos_tools.cluster import ChaosCluster
from devservices import repeating

POLL_SECONDS = 0.05
SILENCE_SECONDS = 1.0  # a queue that delivers nothing for so long is read to its end


def dead_letters(cluster: ChaosCluster) -> list[tuple[bytes, str]]:
    """Body and reason of each dead letter; they stay in the database."""
    rows = cluster.rows("select body, reason from dead_message")
    return [(bytes(body), reason or "") for body, reason in rows]


def depth(cluster: ChaosCluster, queue: str) -> int:
    """How many messages are ready in a queue; 0 when there is no such queue."""
    with cluster.broker_channel() as channel, suppress(NotFound):
        return int(channel.queue_declare(queue, passive=True).message_count)
    return 0


def read(cluster: ChaosCluster, queue: str) -> list[amqp.Message]:
    """The messages that are ready in a queue now; they are there again when this returns."""
    found: list[amqp.Message] = []
    with cluster.broker_channel() as channel:
        count = int(channel.queue_declare(queue, passive=True).message_count)
        tag = channel.basic_consume(queue, callback=found.append)
        with suppress(TimeoutError):
            while len(found) < count:
                channel.connection.drain_events(timeout=SILENCE_SECONDS)
        channel.basic_cancel(tag)
        channel.basic_recover(requeue=True)
        channel.queue_declare(queue, passive=True)  # answered after all went back
    return found


@dataclass
class QueueDepth:
    """depth: how many messages are ready in a queue; removed: how many have left it.

    Counted by each decrease of the depth, also messages that came back or were sent again.
    """

    depth: int = 0
    removed: int = 0


@contextmanager
def monitor_depth(cluster: ChaosCluster, queue: str) -> Iterator[QueueDepth]:
    """Count messages that leave a queue without consumers, for the time of a block."""
    found = QueueDepth()
    with cluster.broker_channel() as channel:

        def poll() -> None:
            now = int(channel.queue_declare(queue, passive=True).message_count)
            found.removed += max(0, found.depth - now)
            found.depth = now

        with repeating(poll, POLL_SECONDS):
            yield found
