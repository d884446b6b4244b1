"""Runs the order service: a main process that supervises granian's HTTP workers.

The main process runs the relay (which does not compete with requests for the interpreter lock),
sets the limit of concurrent orders, restarts workers that crash, and stops them all. Workers are
spawned, not forked: a fork would inherit the relay's threads and connections.
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
from pizza.processes.order_service import OrderServiceSession
from pizza.taskqueue.lifecycle import STOP_SIGNALS
from pizza.taskqueue.logs import log_action
from pizza.web.server.process import load_app
from pizza.web.server.shared_state import SharedState

log = logging.getLogger(__name__)

# Longer than a worker needs for its last requests (see pizza.web.server.shutdown).
_STOP_SECONDS = 4
_RELAY_STOP_SECONDS = 1.0
_SESSION_STOP_SECONDS = 0.5
# So many requests may wait in a worker, for a slot or for their clients (see concurrency.py).
# Each stream has one more thread, which sleeps until there is something to send.
_THREADS = 128
# Connections of a worker, without those of streams. A silent connection costs memory for
# _HEAD_SECONDS; with a lower limit, silent connections would block all other clients.
_CONNECTIONS = 8192
# At least so many, however few descriptors the system allows.
_MIN_CONNECTIONS = 256
# From the first byte of a request to the end of its head, and of a connection without a request.
_HEAD_SECONDS = 10
_TICK_SECONDS = 0.2
_CRASHES, _CRASH_SECONDS = 5, 10.0
_MAX_HEADERS = 64 * 1024

# Granian resets logging; with this it changes levels only and keeps our handler.
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
    shared = SharedState()
    end = threading.Event()
    relay = restaurant.start_relay(settings)
    _start_thread(_publish_state, relay.state, shared, end)
    session = OrderServiceSession(settings)
    session.start()
    _start_thread(_log_ready, settings, shared, session.tried, end)
    logging.getLogger("_granian").addFilter(_is_relevant)
    server = _Server(settings)
    code = 0
    try:
        server.serve(target_loader=functools.partial(load_app, settings, shared), wrap_loader=False)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        end.set()
        session.stop(_SESSION_STOP_SECONDS)
        relay.stop(_RELAY_STOP_SECONDS)
    log.info("Service stopped", extra={"action": "service_stopped"})
    return code


class _Server(MPServer):
    """Granian's server, which stops only if more than _CRASHES workers crash in _CRASH_SECONDS.

    Granian itself stops when one worker crashes twice within 5.5 seconds.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
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
            # Its warnings concern thread counts that were chosen by measurement.
            log_level=LogLevels.info if settings.log_level == "DEBUG" else LogLevels.error,
        )
        self._crashes: list[float] = []
        self._hangup_is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """Stop the service at SIGHUP; granian would restart its workers."""
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
                # Another thread may receive a signal from the kernel. Then nothing wakes this one,
                # the only one in which Python runs handlers.
                pass
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                # Workers that received the signal first did not crash.
                self.interrupt_children.clear()
                return
            self.reload_signal = False
            crashed = []
            while self.interrupt_children:  # other threads add to it
                crashed.append(self.interrupt_children.pop(0))
            if not crashed:
                continue
            now = time.monotonic()
            self._crashes = [at for at in self._crashes if now - at < _CRASH_SECONDS]
            self._crashes += [now] * len(crashed)
            if len(self._crashes) > _CRASHES:
                log.error("HTTP workers keep crashing", extra={"action": "worker_crash_loop"})
                self.interrupt_children = crashed
                return
            details = {"workers": len(crashed)}
            text = "HTTP worker crashed and is restarted"
            log_action(log.warning, "worker_respawned", text, details)
            self._respawn_workers(crashed, spawn_target, target_loader)


@contextmanager
def _block_signals() -> Iterator[None]:
    """Block STOP_SIGNALS for processes that are started in the block.

    A signal during their imports would end them with a traceback.
    """
    # The resource tracker ignores SIGINT and SIGTERM. SIGHUP stays blocked in it, so that it
    # survives when the terminal closes.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
    try:
        # Its start would unblock the other signals.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_relevant(record: logging.LogRecord) -> bool:
    """A log filter: drop granian's message about crashed workers, which `_serve_loop` logs."""
    return not record.getMessage().startswith("Unexpected exit from worker")


def _port_problem(host: str, port: int, *, share: bool) -> str | None:
    """The reason why this address cannot be used, or None. share: with another order service."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if share:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            probe.bind(address)
            if not share:  # it would receive connections of the other one
                probe.listen(1)
    except OSError as problem:
        return f"Cannot listen on {host} port {port}: {problem.strerror or problem}."
    return None


def _allow_descriptors(count: int) -> None:
    """Raise the limit of descriptors for this process and its workers, as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < count:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _connections() -> int:
    """The number of connections of a worker without streams, given its limit of descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS
    # The other half is for streams, files and the database.
    return min(_CONNECTIONS, max(_MIN_CONNECTIONS, soft // 2))


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
    """Log that the service has started, once a worker listens and the order limit is set."""
    tried.wait()
    while not end.wait(0.02):
        if shared.listening.is_set():
            text = f"Service started on port {settings.port}"
            log_action(log.info, "service_started", text, {"host": settings.host})
            if not settings.keys:
                text = f"STAFF_KEY is not set: only this machine is listened to, at {settings.host}"
                log_action(log.info, "auth_disabled", text)
            return
