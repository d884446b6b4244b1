"""Limits how many requests run at a time. A request that waits for its body releases its slot.

Three requests at a time in a process are the fastest: more threads only compete for the interpreter
lock. A thread that reads a body waits for its client, and granian has no limit for that. So there
are many threads and few slots: a request that has waited for its client for _HOLD_SECONDS loses its
slot to the next in the queue, and queues again when the body has arrived.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pizza.web.wsgi import Environ, StartResponse, WatchedInput, Wsgi

# How long a request keeps its slot while it waits for its client.
_HOLD_SECONDS = 0.05


class ConcurrencyLimiter:
    """A semaphore of `count` slots, handed out in the order of arrival. Thread-safe."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()
        # One held lock for each waiting request; releasing it hands over a slot.
        self._queue: deque[threading.Lock] = deque()
        # When each read of a body began whose request still has its slot.
        self._reading_since: dict[object, float] = {}

    def wrap(self, app: Wsgi) -> Wsgi:
        """Wrap a WSGI application: a request holds a slot until `app` returns.

        Most responses are complete by then. A stream continues without a slot.
        """

        def limited(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            environ["wsgi.input"] = WatchedInput(environ["wsgi.input"], self._reading_body)
            self.acquire()
            try:
                return app(environ, start_response)
            finally:
                self.release()

        return limited

    def acquire(self) -> None:
        """Wait for a slot."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            slot = threading.Lock()
            slot.acquire()
            self._queue.append(slot)
        while not slot.acquire(timeout=_HOLD_SECONDS):
            self._reclaim_from_slow_clients()

    def release(self) -> None:
        """Hand the slot to the next request in the queue."""
        with self._lock:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._queue:
            self._queue.popleft().release()
        else:
            self._free += 1

    @contextmanager
    def _reading_body(self) -> Iterator[None]:
        """In the block a request may lose its slot; it has one again at the end."""
        read = object()
        with self._lock:
            self._reading_since[read] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                has_slot = self._reading_since.pop(read, None) is not None
            if not has_slot:
                self.acquire()

    def _reclaim_from_slow_clients(self) -> None:
        with self._lock:
            before = time.monotonic() - _HOLD_SECONDS
            for read in [each for each, since in self._reading_since.items() if since < before]:
                del self._reading_since[read]
                self._hand_over()
