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
from collections.abc import Callable, Iterable
from typing import Any

from pizza.web.wsgi import Environ, StartResponse, WrappedInput, Wsgi

# How long a request keeps its slot while it waits for its client.
_HOLD_SECONDS = 0.05


class ConcurrencyLimiter:
    """A semaphore of `count` slots, handed out in the order of arrival. Thread-safe."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()
        # One held lock for each waiting request; releasing it hands over a slot.
        self._queue: deque[threading.Lock] = deque()
        self._reading: dict[_Body, float] = {}

    def wrap(self, app: Wsgi) -> Wsgi:
        """Wrap a WSGI application: a request holds a slot until `app` returns.

        Most responses are complete by then. A stream continues without a slot.
        """

        def limited(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            body = environ["wsgi.input"] = _Body(environ["wsgi.input"], self)
            self.acquire()
            try:
                return app(environ, start_response)
            finally:
                body.finish()

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

    def start_read(self, body: _Body) -> None:
        """Record that the request of `body` waits for its client from now on."""
        with self._lock:
            self._reading[body] = time.monotonic()

    def finish_read(self, body: _Body) -> bool:
        """Record that its client has sent; return whether the request still has its slot."""
        with self._lock:
            return self._reading.pop(body, None) is not None

    def _reclaim_from_slow_clients(self) -> None:
        with self._lock:
            before = time.monotonic() - _HOLD_SECONDS
            for body in [each for each, since in self._reading.items() if since < before]:
                del self._reading[body]
                self._hand_over()


class _Body(WrappedInput):
    """A request's `wsgi.input` that reports to the limiter when it waits for the client."""

    def __init__(self, source: Any, limiter: ConcurrencyLimiter) -> None:
        super().__init__(source)
        self._limiter = limiter
        self._has_slot = True

    def finish(self) -> None:
        """Release the slot at the end of the request."""
        if self._has_slot:
            self._limiter.release()

    def _call(self, read: Callable[[int], bytes], size: int) -> bytes:
        self._limiter.start_read(self)
        try:
            return read(size)
        finally:
            if not self._limiter.finish_read(self):
                self._has_slot = False
                self._limiter.acquire()
                self._has_slot = True
