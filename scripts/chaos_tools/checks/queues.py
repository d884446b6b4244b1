"""The messages in queues of the broker, and the dead letters."""

import threading
from contextlib import suppress

import amqp
from amqp.exceptions import NotFound
from kombu import Connection

from chaos_tools.cluster import ChaosCluster

POLL_SECONDS = 0.05
SILENCE_SECONDS = 1.0  # a queue that delivers nothing for so long is read to its end


def dead_letters(cluster: ChaosCluster) -> list[tuple[bytes, str]]:
    """Body and reason of each dead letter; they stay in the database."""
    rows = cluster.rows("select body, reason from dead_message")
    return [(bytes(body), reason or "") for body, reason in rows]


def depth(cluster: ChaosCluster, queue: str) -> int:
    """How many messages are ready in a queue; 0 when there is no such queue."""
    with Connection(cluster.servers.rabbitmq.url) as link, suppress(NotFound):
        return int(link.channel().queue_declare(queue, passive=True).message_count)
    return 0


def read(cluster: ChaosCluster, queue: str) -> list[amqp.Message]:
    """The messages that are ready in a queue now; they are there again when this returns."""
    found: list[amqp.Message] = []
    with Connection(cluster.servers.rabbitmq.url) as link:
        channel: amqp.Channel = link.channel()
        count = int(channel.queue_declare(queue, passive=True).message_count)
        tag = channel.basic_consume(queue, callback=found.append)
        with suppress(TimeoutError):
            while len(found) < count:
                link.drain_events(timeout=SILENCE_SECONDS)
        channel.basic_cancel(tag)
        channel.basic_recover(requeue=True)
        channel.queue_declare(queue, passive=True)  # answered after all went back
    return found


def purge(cluster: ChaosCluster, queue: str) -> None:
    """Remove all that is ready in a queue."""
    with Connection(cluster.servers.rabbitmq.url) as link:
        link.channel().queue_purge(queue)


class DepthMonitor:
    """Counts messages that leave a queue which nobody consumes, for the time of a block.

    depth: how many are ready in it; removed: how many have left it,
    by each decrease of its depth, also those that came back or were sent again.
    """

    def __init__(self, cluster: ChaosCluster, queue: str) -> None:
        self.depth = self.removed = 0
        self._cluster = cluster
        self._queue = queue
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "DepthMonitor":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with Connection(self._cluster.servers.rabbitmq.url) as link:
            channel: amqp.Channel = link.channel()
            while not self._stopping.wait(POLL_SECONDS):
                now = int(channel.queue_declare(self._queue, passive=True).message_count)
                self.removed += max(0, self.depth - now)
                self.depth = now
