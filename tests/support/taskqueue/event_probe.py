"""Measures how fast events get out while something else goes on."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

import psycopg
from kombu import Queue

from ..waiting import Stopwatch, wait_until
from .worker_process import Harness

INTERVAL_S = 0.1
_SEND = """
select outbox_enqueue_event(gen_random_uuid(), %s, 'event.probe', convert_to(n::text, 'UTF8'))
from generate_series(%s::integer, %s) n
"""


class EventProbe:
    """Sends events at a steady rate in a `with` block, and measures each from commit to consumer.

    batch: how many are sent in one transaction, each INTERVAL_S seconds. At the end of the block
    all have to arrive.
    """

    def __init__(self, harness: Harness, batch: int = 1) -> None:
        self._harness = harness
        self._batch = batch
        self._committed: dict[int, float] = {}
        self._arrived: dict[int, float] = {}
        self._ending = threading.Event()
        self._consuming = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._send, self._consume)]

    def __enter__(self) -> Self:
        self._watch = Stopwatch()
        self._threads[1].start()
        assert self._consuming.wait(60)
        self._threads[0].start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._ending.set()
        self._threads[0].join()
        try:
            if error is None:
                wait_until(lambda: not self._on_their_way(), 10, "all events have arrived")
        finally:
            self._consuming.clear()
            self._threads[1].join()

    def percentile(self, share: float) -> float:
        """The seconds within which this share of the events has arrived."""
        assert self._committed
        took = sorted(self._arrived[n] - at for n, at in self._committed.items())
        return took[min(len(took) - 1, int(len(took) * share))]

    def assert_on_time(self, promised: float = 0.5) -> None:
        """99 of 100 events have arrived within so many seconds."""
        self._watch.assert_within(promised, self.percentile(0.99))

    def _on_their_way(self) -> int:
        return len(self._committed.keys() - self._arrived.keys())

    def _send(self) -> None:
        with psycopg.connect(self._harness.db_url, autocommit=True) as conn:
            due, sent = time.monotonic(), 0
            while not self._ending.wait(max(0.0, due - time.monotonic())):
                numbers = range(sent, sent + self._batch)
                conn.execute(_SEND, (self._harness.prefix, numbers[0], numbers[-1]))
                now = time.monotonic()
                self._committed.update((n, now) for n in numbers)
                sent += self._batch
                due += INTERVAL_S

    def _consume(self) -> None:
        name = f"{self._harness.prefix}.probe"
        exchange = self._harness.sample.app.topology.exchanges[0]
        with self._harness.broker() as channel:
            Queue(name, exchange, "event.probe", exclusive=True, durable=False)(channel).declare()
            channel.basic_consume(name, no_ack=True, callback=self._note)
            self._consuming.set()
            while self._consuming.is_set():
                try:
                    channel.connection.drain_events(timeout=0.1)
                except TimeoutError:
                    continue

    def _note(self, message: Any) -> None:
        self._arrived.setdefault(int(message.body), time.monotonic())
