"""Starts an HTTP worker process: everything before its first request."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time

import psycopg
from flask import Flask

from pizza.config.settings import Settings
from pizza.database.errors import DatabaseUnavailable
from pizza.database.pool import Pool
from pizza.observability import logging_config
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.http.cors import allow_origins
from pizza.web.server.breaker import Breaker
from pizza.web.server.concurrency import ConcurrencyLimiter
from pizza.web.server.shared_state import SharedState
from pizza.web.server.shutdown import Drain, install_signal_handlers
from pizza.web.server.slow_clients import SlowClients
from pizza.web.server.sockets import is_listening, set_send_timeout, stop_listening

log = logging.getLogger(__name__)

_WARM_SECONDS = 1.0
_LAST_REQUESTS_SECONDS = 3.0
_POLL_SECONDS = 0.02
# Two pings of a stream that the client has not acknowledged.
_SEND_TIMEOUT_SECONDS = 30.0


def load_app(settings: Settings, shared: SharedState) -> Flask:
    """Build the application of this worker process; exits the process on an error."""
    logging_config.setup_logging(settings)
    drain = Drain(stop_listening)
    install_signal_handlers(drain)
    try:
        _exit_with_parent()
        pool = Pool(
            settings.db_pool or settings.db_url,
            size=settings.web_threads,
            name=settings.service,
            pooled=settings.db_pool is not None,
        )
        _warm(pool)
        app = create_app(settings, Dependencies(Breaker(pool), shared.read, shared.authentication))
        # Authentication stays required if the only key is removed before the first request.
        with contextlib.suppress(DatabaseUnavailable, psycopg.Error):
            app.authenticator.warm_up()
        drain.end_streams = app.streams.close
        limiter = ConcurrencyLimiter(settings.web_threads)
        _report_listening(shared)
        slow = SlowClients(settings.trusted_proxies)
        slow.start()
        refusing = drain.wrap(slow.wrap(limiter.wrap(app.wsgi_app)))
        app.wsgi_app = allow_origins(refusing, settings.cors_origins)  # type: ignore[method-assign, assignment]
        return app
    except Exception as error:
        log.error("HTTP worker cannot start", exc_info=error, extra={"action": "start_failed"})
        sys.exit(1)


def _exit_with_parent() -> None:
    """Exit with the main process, even if that is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LAST_REQUESTS_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=follow, name="parent-watch", daemon=True).start()


def _report_listening(shared: SharedState) -> None:
    """Record in shared memory that this process listens, once granian has opened the socket."""

    def report() -> None:
        while not is_listening():
            time.sleep(_POLL_SECONDS)
        set_send_timeout(_SEND_TIMEOUT_SECONDS)
        shared.listening.set()

    threading.Thread(target=report, name="listening", daemon=True).start()


def _warm(pool: Pool) -> None:
    """Open the first connection before the first request; wait at most _WARM_SECONDS."""
    with contextlib.suppress(DatabaseUnavailable), pool.connection(timeout=_WARM_SECONDS) as conn:
        conn.execute("select 1")
