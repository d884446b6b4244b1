"""Measures the publisher: seconds from the commit of an event to its arrival at a consumer."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Self

import amqp
import psycopg
from kombu import Connection

from devservices import wait_until
from pizza.taskqueue.task import publish
from supervisor.api_client import ApiError

PUBLISH_SECONDS = 0.5  # from commit to consumer, whatever else happens
QUEUE = "chaos_probe"


class LatencyProbe:
    """Commits events steadily and consumes them, for the time of a `with` block.

    An event goes through the outbox to the probe's queue, so the broker has to stay up. The
    measurement begins when a first event has arrived, or has not for WARM_UP_SECONDS.
    batch: events in each transaction, of which there is one every INTERVAL_SECONDS.
    """

    INTERVAL_SECONDS = 0.05
    WARM_UP_SECONDS = 30.0
    LAST_SECONDS = 5.0  # that events still have when nothing more is sent

    def __init__(self, db_url: str, broker_url: str, batch: int = 1) -> None:
        self._db_url, self._broker_url = db_url, broker_url
        self._batch = batch
        self._sent: list[float] = []
        self._arrived: dict[int, float] = {}
        self._stopping = threading.Event()
        self._closing = threading.Event()
        self._warm = 0
        self._pool = ThreadPoolExecutor(2)

    def __enter__(self) -> Self:
        self._conn = psycopg.connect(self._db_url)
        self._link = Connection(self._broker_url)
        channel: amqp.Channel = self._link.channel()
        channel.queue_declare(QUEUE, exclusive=True)
        channel.basic_consume(QUEUE, no_ack=True, callback=self._take)
        self._consumer = self._pool.submit(self._consume)
        self._commit(1)
        wait_until(lambda: self._arrived, self.WARM_UP_SECONDS)
        self._warm = len(self._arrived)
        self._sender = self._pool.submit(self._send)
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        failure = self._sender.exception()
        wait_until(lambda: not self.missing(), self.LAST_SECONDS)
        self._closing.set()
        failure = self._consumer.exception() or failure
        self._link.close()
        self._conn.close()
        self._pool.shutdown()
        if failure and error[0] is None:
            raise ApiError(f"The probe failed: {failure!r}")

    def latencies(self) -> list[float]:
        """Seconds of each event so far; until it arrives, those since its commit."""
        now = time.monotonic()
        found = [self._arrived.get(number, now) - at for number, at in enumerate(self._sent)]
        return [max(0.0, seconds) for seconds in found[self._warm :]]

    def missing(self) -> int:
        """How many events have not arrived."""
        return len(self._sent) - len(self._arrived)

    def arrives(self, seconds: float) -> bool:
        """Whether an event that is committed from now on arrives within so many seconds."""
        begun = len(self._sent)
        return wait_until(lambda: max(self._arrived, default=0) > begun, seconds)

    def _send(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due += self.INTERVAL_SECONDS
            self._commit(self._batch)

    def _commit(self, count: int) -> None:
        first = len(self._sent)
        with self._conn.transaction(), self._conn.pipeline():
            for number in range(first, first + count):
                publish(self._conn, "", QUEUE, number)
        self._sent += [time.monotonic()] * count

    def _consume(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                self._link.drain_events(timeout=0.2)

    def _take(self, message: amqp.Message) -> None:
        self._arrived.setdefault(int(message.body), time.monotonic())
