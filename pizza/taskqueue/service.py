"""Runs services, each with its own thread, until the process is stopped."""

import logging
import os
import threading
import time
from typing import Protocol

from pizza.taskqueue.lifecycle import Shutdown

log = logging.getLogger(__name__)

_TICK_S = 0.25
_STOP_TIMEOUT_S = 1.5


class Service(Protocol):
    """Something with its own thread: a Subscriber, a Relay, or a part of the application."""

    def start(self) -> None:
        """Start its thread."""

    def stop(self, timeout: float) -> None:
        """Request its end and wait up to `timeout` seconds. May be called if it never started."""

    def is_alive(self) -> bool:
        """Whether its thread runs."""


class ServiceThread(threading.Thread):
    """A thread that is a Service. Its `run` returns soon after `_stopping` is set."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._stopping = threading.Event()

    def stop(self, timeout: float) -> None:
        """Request the end of `run` and wait up to `timeout` seconds."""
        self._stopping.set()
        if timeout > 0 and self.is_alive():
            self.join(timeout)


class DeferredService:
    """A service that starts when `start_now` is called, and not when `start` is."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._has_to_start = True

    def start_now(self) -> None:
        """Start it now."""
        self._service.start()
        self._has_to_start = False

    def start(self) -> None:
        """Do nothing: `start_now` starts it."""

    def stop(self, timeout: float) -> None:
        """Stop it; afterwards it no longer counts as alive."""
        self._has_to_start = False
        self._service.stop(timeout)

    def is_alive(self) -> bool:
        """Whether it runs or has yet to start."""
        return self._has_to_start or self._service.is_alive()


def run_until_stopped(*services: Service) -> None:
    """Run services until SIGTERM, SIGHUP or SIGINT, or until one of them ends. Main thread only.

    Raises the `failure` of a service that has one. After the signal the services have 1.5 s to
    stop; if one still runs then, the process exits at once with code 0, as in a crash.
    """
    stop = Shutdown()
    stop.install_handlers()
    for service in services:
        service.start()
    while not stop.is_set() and all(service.is_alive() for service in services):
        stop.wait(_TICK_S)
    until = time.monotonic() + _STOP_TIMEOUT_S
    for service in services:
        service.stop(0)
    for service in services:
        service.stop(max(0.0, until - time.monotonic()))
    stop.ignore_signals()
    for service in services:
        if (failure := getattr(service, "failure", None)) is not None:
            raise failure
    if any(service.is_alive() for service in services):
        log.error("A service does not stop; the process exits", extra={"action": "abandoned"})
        logging.shutdown()
        os._exit(0)
