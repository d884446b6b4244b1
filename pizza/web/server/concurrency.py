"""A few requests at work at a time, however many there are; a slow client's body keeps no turn.

Three requests at once in a process are the fastest: with more of them, threads only take the
interpreter from each other. But a thread that reads a body waits as long as its client likes, and
granian has no limit for that. So there are many threads and few turns: one that has waited for its
client for a moment loses its turn to the next, and queues again when the body is there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

# As long as a body may take that is on its way; from then on the turn is anybody's.
_MOMENT_SECONDS = 0.05

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


class Turns:
    """At most `count` requests at work at a time."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()
        # One held lock for each that waits; to let it go is to hand the turn over, in their order.
        self._queue: deque[threading.Lock] = deque()
        self._reading: dict[_Body, float] = {}

    def around(self, app: Wsgi) -> Wsgi:
        """The application, one turn a request, until it returns: by then most answers are complete.

        A stream goes on after that, without a turn.
        """

        def in_turn(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            body = environ["wsgi.input"] = _Body(environ["wsgi.input"], self)
            self.take()
            try:
                return app(environ, start_response)
            finally:
                body.finish()

        return in_turn

    def take(self) -> None:
        """Wait for a turn; who came first has it first."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        while not turn.acquire(timeout=_MOMENT_SECONDS):
            self._take_from_the_slow()

    def give(self) -> None:
        """Let the next have it."""
        with self._lock:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._queue:
            self._queue.popleft().release()
        else:
            self._free += 1

    def begin_reading(self, body: _Body) -> None:
        """From now on this one waits for its client."""
        with self._lock:
            self._reading[body] = time.monotonic()

    def end_reading(self, body: _Body) -> bool:
        """Its client has sent; whether its turn was kept."""
        with self._lock:
            return self._reading.pop(body, None) is not None

    def _take_from_the_slow(self) -> None:
        with self._lock:
            before = time.monotonic() - _MOMENT_SECONDS
            for body in [each for each, since in self._reading.items() if since < before]:
                del self._reading[body]
                self._pass_on()


class _Body:
    """A request's `wsgi.input`, which tells when it waits for the client."""

    def __init__(self, source: Any, turns: Turns) -> None:
        self._source = source
        self._turns = turns
        self._has_turn = True

    def finish(self) -> None:
        """The request is answered."""
        if self._has_turn:
            self._turns.give()

    def read(self, size: int = -1) -> bytes:
        return self._wait(self._source.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._wait(self._source.readline, size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Any:
        return iter(self.readline, b"")

    def _wait(self, read: Callable[[int], bytes], size: int) -> bytes:
        self._turns.begin_reading(self)
        try:
            return read(size)
        finally:
            if not self._turns.end_reading(self):
                self._has_turn = False
                self._turns.take()
                self._has_turn = True
