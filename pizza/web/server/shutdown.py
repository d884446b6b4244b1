"""Graceful shutdown of an HTTP worker: requests under way are completed, new ones are refused.

Granian closes its connections at the signal, under load before every response was sent. An order
that was stored must not lose its response. So granian receives the signal only after the last
response. New connections are no longer accepted: another order service on the same port has them.
Requests on open connections are handled for a moment, with `Connection: close`, and then refused
without storing anything.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable

from granian import _signals as granian_signals
from granian._granian import WorkerSignal

from pizza.taskqueue.lifecycle import STOP_SIGNALS
from pizza.web.http.problems import Problem, send_problem
from pizza.web.http.response_headers import NOSNIFF
from pizza.web.wsgi import Environ, StartResponse, Wsgi, add_headers

# A request takes at most about two seconds.
DRAIN_TIMEOUT_SECONDS = 2.5
# From the return of the application to the last byte on the socket.
_FLUSH_SECONDS = 0.15

_REFUSAL = Problem(
    503,
    "The order service is restarting; try again in a moment.",
    headers=(("Retry-After", "1"), NOSNIFF),
)


class Drain:
    """Counts the requests under way, and refuses new ones once closed. Thread-safe."""

    def __init__(self, stop_listening: Callable[[], None] = lambda: None) -> None:
        """stop_listening: called first by `close`."""
        self._stop_listening = stop_listening
        self.end_streams: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._running = 0
        self._ending = False
        self._closed = False

    def wrap(self, app: Wsgi) -> Wsgi:
        """Wrap a WSGI application: requests after `close` are refused with 503."""

        def counted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            with self._lock:
                refused, last = self._closed, self._ending
                self._running += 1
            if last:
                start_response = add_headers(start_response, [("Connection", "close")])
            try:
                if refused:
                    return send_problem(_REFUSAL, start_response)
                return app(environ, start_response)
            finally:
                with self._lock:
                    self._running -= 1

        return counted

    def close(self) -> None:
        """Refuse new requests, and wait at most DRAIN_TIMEOUT_SECONDS for those under way."""
        self._ending = True
        self._stop_listening()
        # Streams do not count as requests under way; their clients reconnect.
        self.end_streams()
        # For requests that were already sent on an open connection.
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
    """Handle the stop signals of this process: drain, then let granian stop.

    Replaces the function with which granian would set up its signals; granian receives the event
    for which it waits. A thread waits for the signals, because the main thread waits inside
    granian, where a Python handler may never run. They stay blocked, as the main process started
    this one with them.
    """

    def set_sync_signals() -> WorkerSignal:
        stop = WorkerSignal()
        # SIGHUP is ignored if the service was started with nohup.
        awaited = {each for each in STOP_SIGNALS if signal.getsignal(each) is not signal.SIG_IGN}

        def forward() -> None:
            while True:
                signal.sigwait(awaited)
                drain.close()
                stop.set()

        threading.Thread(target=forward, name="drain", daemon=True).start()
        return stop

    granian_signals.set_sync_signals = set_sync_signals
