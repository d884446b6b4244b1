"""`flask --app pizza …`: the set-up commands, those of the staff, and `run` for development."""

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
from pizza.database.pool import open_pool
from pizza.observability import logging_config
from pizza.taskqueue.outbox.relay import Relay
from pizza.web.app import create_app as create_web_app
from pizza.web.dependencies import Dependencies
from pizza.web.http.cors import allow_origins
from pizza.web.server.breaker import Breaker


def create_app() -> Flask:
    """Build the application from the environment; opens nothing before the first request."""
    terminal.accept_any_text()
    try:
        settings = dataclasses.replace(load({}), mode="order-service")
        logging_config.setup(settings)
    except SettingsError as problem:
        sys.exit(commands.refuse(str(problem)))
    house = _House(settings)
    app = create_web_app(settings, Dependencies(house, house.relay_state))
    app.wsgi_app = allow_origins(app.wsgi_app, settings.cors_origins)  # type: ignore[method-assign, assignment]
    setup = (_command(verb, settings) for verb in commands.SETUP_VERBS)
    for command in (*setup, dead_letters.group(settings), *GROUPS):
        app.cli.add_command(_with_sentences(command, settings))
    return app


def _with_sentences(command: click.Command, settings: Settings) -> click.Command:
    """The same command or group, which ends with a sentence for every unexpected error."""

    def invoke(context: click.Context) -> Any:
        with terminal.sentences("pizza", settings):
            return command.invoke(context)

    copied = copy.copy(command)
    copied.invoke = invoke  # type: ignore[method-assign, assignment]
    return copied


def _command(verb: str, settings: Settings) -> click.Command:
    def run() -> None:
        if verb != "setup_queues":
            output.need_database(settings)
        logging_config.setup(dataclasses.replace(settings, mode=None))
        sys.exit(commands.set_up(settings, [verb]))

    return click.Command(verb.replace("_", "-"), callback=run, help=commands.SETUP_HELP[verb])


class _House:
    """Database connections and a relay, made when the first request comes.

    `flask --app pizza setup-db` builds the application too, before there are any tables.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = threading.Lock()
        self._open: tuple[Breaker, Relay] | None = None

    def connection(self, timeout: float = 1.0) -> AbstractContextManager[Any]:
        """Lend a connection; raises DatabaseUnavailable."""
        return self._opened()[0].connection(timeout)

    def relay_state(self) -> str:
        """How the relay of this process does."""
        return self._opened()[1].state()

    def _opened(self) -> tuple[Breaker, Relay]:
        with self._opening:
            if self._open is None:
                if not self._settings.db_url:
                    raise DatabaseUnavailable("DB_URL is not set")
                name, size = "flask run", self._settings.web_threads
                settings = self._settings
                address, pooled = settings.db_pool or settings.db_url, settings.db_pool is not None
                pool = Breaker(open_pool(address, size=size, name=name, pooled=pooled))
                self._open = (pool, restaurant.start_relay(self._settings))
            return self._open
