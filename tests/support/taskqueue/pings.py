"""Tasks and events that are sent all along, and how soon each arrives."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from uuid import UUID

import psycopg

from pizza.taskqueue.task import publish

from ..waiting import Stopwatch, wait_until
from .worker_process import Harness

PAUSE_S = 0.1
LIMIT_S = 0.5


class Pings:
    """In a `with` block, sends a task and an event in one transaction ten times a second.

    jobs: the ids of the tasks. At the end of the block all of them have had their effect.
    """

    def __init__(self, harness: Harness, colour: str = "green") -> None:
        self.jobs: list[UUID] = []
        self._harness = harness
        self._colour = colour
        self._sent_at: list[float] = []
        self._arrived_at: dict[int, float] = {}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._send, self._receive)]

    def __enter__(self) -> Pings:
        self._watch = Stopwatch()
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                wait_until(lambda: len(self.jobs) >= 100, 15, "there are 100 pings")
                self._over.set()
                self._threads[0].join()
                wait_until(
                    lambda: set(self.jobs) <= set(self._harness.effects()), 10, "all are done"
                )
                wait_until(lambda: len(self._arrived_at) == len(self.jobs), 10, "all arrive")
        finally:
            self._over.set()
            for each in self._threads:
                each.join()

    def _send(self) -> None:
        harness = self._harness
        body = {"mode": "ok", "label": "ping"}
        place = {"queue": harness.sample.queue(self._colour), "routing_key": self._colour}
        with psycopg.connect(harness.db_url, autocommit=True) as conn:
            while not self._over.wait(PAUSE_S):
                number, now = len(self._sent_at), time.time()
                self._sent_at.append(now)
                with conn.transaction():
                    publish(conn, harness.prefix, "event.ping", {"n": number})
                    id = harness.sample.play.send(conn, body, **place)
                self.jobs.append(id)

    def _receive(self) -> None:
        with self._harness.broker() as channel:
            channel.basic_consume(self._harness.sample.events, no_ack=True, callback=self._arrived)
            while not (self._over.is_set() and len(self._arrived_at) >= len(self.jobs)):
                try:
                    channel.connection.drain_events(timeout=0.1)
                except TimeoutError:
                    if self._over.is_set() and not self._threads[0].is_alive():
                        return

    def _arrived(self, message: Any) -> None:
        self._arrived_at.setdefault(json.loads(message.body)["n"], time.time())

    def assert_quick(self, limit: float = LIMIT_S) -> None:
        """99 of 100 tasks had their effect within so long; 99 of 100 events have arrived."""
        ends = "select message_id, extract(epoch from at)::float8 from effect"
        done = dict(self._harness.rows(ends))
        for what, ends in {
            "tasks": [done[id] for id in self.jobs],
            "events": [self._arrived_at[n] for n in range(len(self.jobs))],
        }.items():
            took = sorted(end - sent for end, sent in zip(ends, self._sent_at, strict=True))
            assert len(took) >= 100, what
            self._watch.assert_within(limit, took[int(len(took) * 0.99) - 1])
