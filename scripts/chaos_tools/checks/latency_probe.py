"""Measures the publisher: seconds from the commit of an event to its arrival at a consumer."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import amqp
import psycopg
from kombu import Connection

from benchmarks.results import percentile
from chaos_tools.cluster import ChaosCluster
from devservices import wait_until
from pizza.taskqueue.task import publish
from supervisor.api_client import ApiError

INTERVAL_SECONDS = 0.05
CONNECT_SECONDS = WARM_UP_SECONDS = 30.0
LAST_SECONDS = 5.0  # that events still have when nothing more is sent
PUBLISH_SECONDS = 0.5  # from commit to consumer, whatever else happens
QUEUE = "chaos_probe"


class LatencyProbe:
    """Commits events steadily and consumes them, for the time of a `with` block.

    An event goes through the outbox to a queue of the probe's own, so the broker has to stay up.
    The measurement begins when a first event has arrived, or has not for WARM_UP_SECONDS.
    batch: events in each transaction; there are 20 transactions a second.
    """

    def __init__(self, cluster: ChaosCluster, batch: int = 1) -> None:
        self._cluster = cluster
        self._batch = batch
        self._sent: list[float] = []
        self._arrived: dict[int, float] = {}
        self._conn: psycopg.Connection | None = None
        self._failures: list[BaseException] = []
        self._stopping = threading.Event()
        self._consuming = threading.Event()
        self._warm = 0
        self._consumer = threading.Thread(target=self._guarded(self._consume), daemon=True)
        self._sender = threading.Thread(target=self._guarded(self._send), daemon=True)

    def __enter__(self) -> "LatencyProbe":
        self._conn = psycopg.connect(self._cluster.db_url)
        self._consumer.start()
        if not self._consuming.wait(CONNECT_SECONDS):
            raise ApiError(f"The probe has no consumer: {self._failures}")
        self._commit(1)
        wait_until(lambda: self._arrived, WARM_UP_SECONDS)
        self._warm = 1 if self._arrived else 0
        self._sender.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._sender.join()
        wait_until(lambda: len(self._arrived) >= len(self._sent), LAST_SECONDS)
        self._consuming.clear()
        self._consumer.join()
        assert self._conn is not None
        self._conn.close()
        if self._failures and error[0] is None:
            raise ApiError(f"The probe failed: {self._failures[0]!r}")

    def latencies(self) -> list[float]:
        """Seconds of each event so far; until it arrives, those since its commit."""
        now = time.monotonic()
        found = [self._arrived.get(number, now) - at for number, at in enumerate(self._sent)]
        return [max(0.0, seconds) for seconds in found[self._warm :]]

    def arrives(self, seconds: float) -> bool:
        """Whether an event that is committed from now on arrives within so many seconds."""
        begun = len(self._sent)
        return wait_until(lambda: max(self._arrived, default=0) > begun, seconds)

    def _guarded(self, run: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                run()
            except Exception as error:
                self._failures.append(error)

        return guarded

    def _send(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due += INTERVAL_SECONDS
            self._commit(self._batch)

    def _commit(self, count: int) -> None:
        conn, first = self._conn, len(self._sent)
        assert conn is not None
        with conn.transaction(), conn.pipeline():
            for number in range(first, first + count):
                publish(conn, "", QUEUE, number)
        self._sent += [time.monotonic()] * count

    def _consume(self) -> None:
        with Connection(self._cluster.servers.rabbitmq.url) as link:
            channel: amqp.Channel = link.channel()
            channel.queue_declare(QUEUE, exclusive=True)
            channel.basic_consume(QUEUE, no_ack=True, callback=self._take)
            self._consuming.set()
            while self._consuming.is_set():
                with suppress(TimeoutError):
                    link.drain_events(timeout=0.2)

    def _take(self, message: amqp.Message) -> None:
        self._arrived.setdefault(int(message.body), time.monotonic())


def record_publishing(cluster: ChaosCluster, probe: LatencyProbe) -> None:
    """Record for the report how soon events were published while a scenario ran."""
    seconds = percentile(probe.latencies() or [0.0], 99)
    cluster.fault_log.record_latency("99 of 100 events published", seconds, PUBLISH_SECONDS)
