"""A clean stop of an HTTP worker: what was begun is answered, and nothing new is begun.

Granian closes its connections when the signal comes, on a machine under load before every answer
is on its way. An order that is stored and whose client hears nothing is what must not happen. So
the signal is held back until the last request has been answered. No connection is accepted any
more: another order service on the same port has them all. What still comes on those that are open
is answered for a moment, each answer asking its client to close, and then refused, with nothing
stored.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from granian import _signals as granian_signals
from granian._granian import WorkerSignal

from pizza.taskqueue.lifecycle import STOP_SIGNALS, handle_stop_signals
from pizza.web.http.problems import CONTENT_TYPE, Problem

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Requests are bound to about two seconds by themselves.
DRAIN_TIMEOUT_SECONDS = 2.5
# From the application's return to the answer's last byte on the socket.
_FLUSH_SECONDS = 0.15

_REFUSAL = Problem(
    503, "The order service is restarting; try again in a moment.", headers=(("Retry-After", "1"),)
)


class Drain:
    """Counts the requests that are under way, and lets no more in once closed."""

    def __init__(self, stop_listening: Callable[[], None] = lambda: None) -> None:
        """stop_listening: called first when it is closed."""
        self._stop_listening = stop_listening
        self.end_streams: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._running = 0
        self._ending = False
        self._closed = False

    def wrap(self, app: Wsgi) -> Wsgi:
        """Wrap a WSGI application: what comes after `close` is refused, nothing of it is begun."""

        def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            with self._lock:
                refused, last = self._closed, self._ending
                self._running += 1
            if last:
                start_response = _closing(start_response)
            try:
                return _refuse(start_response) if refused else app(environ, start_response)
            finally:
                with self._lock:
                    self._running -= 1

        return counted

    def close(self) -> None:
        """Refuse new requests, and wait at most DRAIN_TIMEOUT_SECONDS for those under way."""
        self._ending = True
        self._stop_listening()
        # They are no requests under way: they would be for ever, and their clients come again.
        self.end_streams()
        # What was on its way on an open connection.
        time.sleep(_FLUSH_SECONDS)
        with self._lock:
            self._closed = True
        until = time.monotonic() + DRAIN_TIMEOUT_SECONDS
        time.sleep(_FLUSH_SECONDS)
        while self._running and time.monotonic() < until:
            time.sleep(0.01)
            if not self._running:
                time.sleep(_FLUSH_SECONDS)


def install_signal_handlers(drain: Drain) -> None:
    """Take the signals to stop in this process, and let granian hear of them after the drain.

    Granian is about to ask its own module to set up the signals; it gets what it would have got,
    an event to wait for, and the signals stay ours. They are read from a descriptor by a thread:
    the main thread waits inside granian, where a handler in Python may never have its turn.
    """
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.fileno())
    handle_stop_signals(lambda *_: None)
    # The main process has held them back until now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def set_sync_signals() -> WorkerSignal:
        stop = WorkerSignal()

        def pass_on() -> None:
            while told.recv(1) and tell:  # naming both ends keeps both open
                drain.close()
                stop.set()

        threading.Thread(target=pass_on, name="drain", daemon=True).start()
        return stop

    granian_signals.set_sync_signals = set_sync_signals


def _closing(start_response: Callable[..., Any]) -> Callable[..., Any]:
    """Ask the client to come again on another connection."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        return start_response(status, [*headers, ("Connection", "close")], *more)

    return start


def _refuse(start_response: Callable[..., Any]) -> list[bytes]:
    body = _REFUSAL.body()
    headers = [
        ("Content-Type", CONTENT_TYPE),
        ("Content-Length", str(len(body))),
        *_REFUSAL.headers,
    ]
    start_response("503 Service Unavailable", headers)
    return [body]
