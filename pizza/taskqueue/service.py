"""A process made of parts that each have a thread: started together, stopped together."""

from __future__ import annotations

import logging
import os
import time
from typing import Protocol

from pizza.taskqueue.lifecycle import Stop

log = logging.getLogger(__name__)

_TICK_S = 0.25
_LAST_SECONDS = 1.5


class Part(Protocol):
    """What a service is made of: Subscriber, Relay, or a thread of the application's own."""

    def start(self) -> None:
        """Begin, in a thread of its own."""

    def stop(self, timeout: float) -> None:
        """Ask it to end, and wait up to `timeout` seconds; harmless if it was never started."""

    def is_alive(self) -> bool:
        """Whether its thread runs."""


class Later:
    """A part that begins when `begin` is called, and until then only seems to."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._begun = False
        self._ended = False

    def begin(self) -> None:
        """Start it now."""
        self._part.start()
        self._begun = True

    def start(self) -> None:
        """Wait for `begin`."""

    def stop(self, timeout: float) -> None:
        """Stop it, if it has begun."""
        self._ended = True
        self._part.stop(timeout)

    def is_alive(self) -> bool:
        """Whether it runs, or has yet to begin."""
        waits = not self._begun and not self._ended
        return waits or self._part.is_alive()


def serve(*parts: Part) -> None:
    """Run parts until SIGTERM, SIGHUP or SIGINT, or until one of them ends by itself.

    Raises what that one failed with (its `failure`, if it has one). From the signal on they
    have a second and a half; a part that is stuck then is left behind, as in a crash that is meant.
    """
    stop = Stop()
    stop.listen()
    for part in parts:
        part.start()
    while not stop.is_set() and all(part.is_alive() for part in parts):
        stop.wait(_TICK_S)
    until = time.monotonic() + _LAST_SECONDS
    for part in parts:
        part.stop(0)
    for part in parts:
        part.stop(max(0.0, until - time.monotonic()))
    stop.ignore()
    for part in parts:
        failure = getattr(part, "failure", None)
        if failure is not None:
            raise failure
    if any(part.is_alive() for part in parts):
        log.error("A part of the service does not end; leaving it", extra={"action": "abandoned"})
        logging.shutdown()
        os._exit(0)
