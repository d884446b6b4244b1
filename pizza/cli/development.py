"""`flask --app pizza …`: the setup commands, the staff commands, and `run` for development."""

from __future__ import annotations

import copy
import dataclasses
import sys
import threading
from contextlib import AbstractContextManager
from typing import Any

import click
from flask import Flask

from pizza import app as restaurant
from pizza.cli import commands, dead_letters, output, terminal
from pizza.cli.staff import GROUPS
from pizza.config.settings import Settings, SettingsError, load
from pizza.database.errors import DatabaseUnavailable
from pizza.database.pool import Pool
from pizza.observability import logging_config
from pizza.taskqueue.outbox.relay import Relay
from pizza.web.app import create_app as create_web_app
from pizza.web.dependencies import Dependencies
from pizza.web.http.cors import allow_origins
from pizza.web.server.breaker import Breaker


def create_app() -> Flask:
    """Build the application from the environment; it opens no connection before a request."""
    terminal.accept_any_text()
    try:
        settings = dataclasses.replace(load({}), mode="order-service")
        logging_config.setup_logging(settings)
    except SettingsError as problem:
        sys.exit(commands.print_refusal(str(problem)))
    lazy = LazyDependencies(settings)
    app = create_web_app(settings, Dependencies(lazy, lazy.relay_state))
    app.wsgi_app = allow_origins(app.wsgi_app, settings.cors_origins)  # type: ignore[method-assign, assignment]
    setup = (_setup_command(name, settings) for name in commands.SETUP_COMMANDS)
    for command in (*setup, dead_letters.group(settings), *GROUPS):
        app.cli.add_command(_with_error_report(command, settings))
    return app


def _with_error_report(command: click.Command, settings: Settings) -> click.Command:
    """A copy of the command or group that reports unexpected errors."""

    def invoke(context: click.Context) -> Any:
        with terminal.report_errors("pizza", settings):
            return command.invoke(context)

    copied = copy.copy(command)
    copied.invoke = invoke  # type: ignore[method-assign, assignment]
    return copied


def _setup_command(name: str, settings: Settings) -> click.Command:
    def run() -> None:
        if name != "setup_queues":
            output.require_database(settings)
        logging_config.setup_logging(dataclasses.replace(settings, mode=None))
        sys.exit(commands.run_setup(settings, [name]))

    page, _ = commands.SETUP_COMMANDS[name]
    return click.Command(name.replace("_", "-"), callback=run, help=page)


class LazyDependencies:
    """A pool and a relay, opened at the first request.

    `flask --app pizza setup-db` builds the application too, when there are no tables yet.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = threading.Lock()
        self._open: tuple[Breaker, Relay] | None = None

    def connection(self, timeout: float = 1.0) -> AbstractContextManager[Any]:
        """Lend a connection; raises DatabaseUnavailable."""
        return self._resources()[0].connection(timeout)

    def relay_state(self) -> str:
        """The state of this process's relay."""
        return self._resources()[1].state()

    def _resources(self) -> tuple[Breaker, Relay]:
        with self._opening:
            if self._open is None:
                settings = self._settings
                if not settings.db_url:
                    raise DatabaseUnavailable("DB_URL is not set")
                address, pooled = settings.db_pool or settings.db_url, settings.db_pool is not None
                pool = Pool(address, size=settings.web_threads, name="flask run", pooled=pooled)
                self._open = (Breaker(pool), restaurant.start_relay(settings))
            return self._open
