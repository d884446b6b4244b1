"""The order service as processes: granian's workers take requests, this one looks after them.

The main process holds the relay (in a process of its own it never competes with requests for
the interpreter), brings up the cap of orders, restarts a worker that dies, and stops them all.
Workers are spawned, not forked: a fork would inherit the relay's threads and connections.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from pizza import app as restaurant
from pizza.config.settings import Settings
from pizza.processes.order_service import OpenRestaurant
from pizza.taskqueue.lifecycle import STOP_SIGNALS
from pizza.web.server.process import load_app
from pizza.web.server.shared_state import SharedState

log = logging.getLogger(__name__)

# Beyond what a worker takes for its last requests (see pizza.web.server.shutdown).
_STOP_SECONDS = 4
_RELAY_STOP_SECONDS = 1.0
_OPENING_STOP_SECONDS = 0.5
# As many requests may wait in a worker, for a turn or for their clients (see concurrency.py).
# Each stream has a thread besides, which sleeps until there is something to send.
_THREADS = 128
# As many connections a worker has, besides those of streams. One on which nothing comes costs
# memory until _HEAD_SECONDS are over; with fewer, silent ones would keep everybody else out.
_CONNECTIONS = 8192
# As many at least, however few descriptors the system allows.
_FEW_CONNECTIONS = 256
# From the first byte of a request to the end of its head, and of a connection without a request.
_HEAD_SECONDS = 10
_TICK_SECONDS = 0.2
_CRASHES, _CRASH_SECONDS = 5, 10.0
_MAX_HEADERS = 64 * 1024

# Granian resets logging; told this, it changes levels only and leaves our handler alone.
_KEEP_LOGGING: dict[str, Any] = {
    "incremental": True,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {}, "granian.access": {}},
}


def serve(settings: Settings) -> int:
    """Run the order service until SIGTERM, SIGHUP or SIGINT; returns the exit code."""
    if problem := _port_problem(settings.host, settings.port, share=settings.reuse_port):
        log.error("%s", problem, extra={"action": "start_failed"})
        return 1
    multiprocessing.set_start_method("spawn", force=True)
    _allow_descriptors(2 * _CONNECTIONS + 2 * settings.streams_per_worker)
    shared = SharedState.create()
    end = threading.Event()
    relay = restaurant.start_relay(settings)
    _start_thread(_publish_state, relay.state, shared, end)
    opening = OpenRestaurant(settings)
    opening.start()
    _start_thread(_log_ready, settings, shared, opening.tried, end)
    logging.getLogger("_granian").addFilter(_is_relevant)
    server = _server(settings)
    code = 0
    try:
        server.serve(target_loader=functools.partial(load_app, settings, shared), wrap_loader=False)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        end.set()
        opening.stop(_OPENING_STOP_SECONDS)
        relay.stop(_RELAY_STOP_SECONDS)
    log.info("Service stopped", extra={"action": "service_stopped"})
    return code


class _Server(MPServer):
    """Granian's server, with our patience for workers that die.

    Granian itself gives up when one worker dies twice within 5.5 seconds.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._crashes: list[float] = []
        self._hangup_is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """SIGHUP stops this service, as any other process; granian would restart its workers."""
        self.signal_handler_interrupt(*args, **kwargs)

    def _spawn_workers(self, *args: Any) -> None:
        if self._hangup_is_ignored:  # by nohup; granian has just set a handler
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with _block_signals():
            super()._spawn_workers(*args)

    def _respawn_workers(self, *args: Any, **kwargs: Any) -> None:
        with _block_signals():
            super()._respawn_workers(*args, **kwargs)

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        while True:
            while not self.main_loop_interrupt.wait(_TICK_SECONDS):
                # Of two signals at once another thread may take both from the kernel; then nothing
                # wakes this one, in which alone Python handles them.
                pass
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                # Those that heard the signal before us did not crash.
                self.interrupt_children.clear()
                return
            self.reload_signal = False
            fallen = []
            while self.interrupt_children:  # others add to it meanwhile
                fallen.append(self.interrupt_children.pop(0))
            if not fallen:
                continue
            now = time.monotonic()
            self._crashes = [at for at in self._crashes if now - at < _CRASH_SECONDS]
            self._crashes += [now] * len(fallen)
            if len(self._crashes) > _CRASHES:
                log.error("HTTP workers keep dying", extra={"action": "worker_crash_loop"})
                self.interrupt_children = fallen
                return
            log.warning(
                "HTTP worker died and is restarted",
                extra={"action": "worker_respawned", "details": {"workers": len(fallen)}},
            )
            self._respawn_workers(fallen, spawn_target, target_loader)


@contextmanager
def _block_signals() -> Iterator[None]:
    """Processes that start in the block receive STOP_SIGNALS only once they unblock them.

    Otherwise one that comes while such a process still imports ends it with a traceback.
    """
    # The tracker ignores SIGINT and SIGTERM itself. SIGHUP stays blocked in it, so that it outlives
    # a terminal that hangs up, as long as this process needs it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
    try:
        # Its start would let the other signals through again.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_relevant(record: logging.LogRecord) -> bool:
    """Not what `_serve_loop` says itself, and only of workers that were not told to end."""
    return not record.getMessage().startswith("Unexpected exit from worker")


def _server(settings: Settings) -> _Server:
    return _Server(
        "pizza",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=_HEAD_SECONDS * 1000, max_buffer_size=_MAX_HEADERS
        ),
        workers=settings.web_workers,
        blocking_threads=_THREADS + settings.streams_per_worker,
        backpressure=_connections() + settings.streams_per_worker,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_SECONDS,
        log_dictconfig=_KEEP_LOGGING,
        log_level=_granian_level(settings),
    )


def _granian_level(settings: Settings) -> LogLevels:
    # Its warnings are about thread counts that we have measured.
    return LogLevels.info if settings.log_level == "DEBUG" else LogLevels.error


def _port_problem(host: str, port: int, *, share: bool) -> str | None:
    """Say why nothing can listen here. share: beside another order service, as granian can."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if share:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            probe.bind(address)
            if not share:  # it would be given connections that are meant for the other one
                probe.listen(1)
    except OSError as problem:
        return f"Cannot listen on {host} port {port}: {problem.strerror or problem}."
    return None


def _allow_descriptors(count: int) -> None:
    """Let this process and its workers have so many, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < count:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _connections() -> int:
    """How many connections besides streams a worker may have with the descriptors it may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS
    # The other half is for streams and for what is neither: files, the database.
    return min(_CONNECTIONS, max(_FEW_CONNECTIONS, soft // 2))


def _start_thread(work: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=work, args=args, name=work.__name__.strip("_"), daemon=True).start()


def _publish_state(state: Callable[[], str], shared: SharedState, end: threading.Event) -> None:
    """Write the state of the relay to shared memory until `end` is set."""
    while not end.is_set():
        shared.write(state())
        end.wait(0.25)


def _log_ready(
    settings: Settings, shared: SharedState, tried: threading.Event, end: threading.Event
) -> None:
    """Log that the service started, once it really answers and its cap holds."""
    tried.wait()
    while not end.wait(0.02):
        if shared.is_open:
            log.info(
                f"Service started on port {settings.port}",
                extra={"action": "service_started", "details": {"host": settings.host}},
            )
            if not settings.keys:
                log.info(
                    "STAFF_KEY is not set: only this machine is listened to, at %s",
                    settings.host,
                    extra={"action": "auth_disabled"},
                )
            return
