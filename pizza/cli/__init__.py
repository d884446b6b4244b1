"""The command line: `restaurant-system` with the flags of the specification.

Bad usage is answered by one sentence on stderr and exit code 2, never by a traceback.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from pizza.cli import commands, hide_passwords, terminal
from pizza.cli.help import USAGE
from pizza.config import preflight
from pizza.config.options import MODES, OPTIONS
from pizza.config.settings import SettingsError, load
from pizza.observability import logging_config
from pizza.taskqueue.lifecycle import handle_stop_signals

_NEEDS = {
    "order-service": ("db_url",),
    "kitchen-worker": ("db_url", "worker_name"),
    "tracking-service": ("db_url",),
    "notification-subscriber": (),
    "webhook-worker": ("db_url",),
}


class _Command(click.Command):
    def get_help(self, ctx: click.Context) -> str:
        return USAGE.rstrip("\n")


def _command() -> click.Command:
    # Values are read by pizza.config.settings, so that a flag and its variable are refused alike.
    options: list[click.Parameter] = [
        click.Option([option.flag, option.name], help=option.meaning)
        for option in OPTIONS
        if option.flag
    ]
    options += [
        click.Option([f"--{verb.replace('_', '-')}", verb], is_flag=True)
        for verb in commands.SETUP_VERBS
    ]
    return _Command(
        "restaurant-system",
        params=options,
        callback=_run,
        context_settings={"max_content_width": 100},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code. `argv` without the program's name."""
    if argv is None:
        hide_passwords.hide_secrets()
        terminal.accept_any_text()
    try:
        code = _command().main(
            args=None if argv is None else list(argv),
            prog_name="restaurant-system",
            standalone_mode=False,
        )
    except click.ClickException as problem:
        sentence = problem.format_message().rstrip(".")
        return commands.refuse(f"{sentence}. See restaurant-system --help.")
    except SettingsError as problem:
        return commands.refuse(f"{problem} See restaurant-system --help.")
    except (KeyboardInterrupt, click.Abort):
        return commands.FAILED
    return code if isinstance(code, int) else commands.DONE


def _run(**given: Any) -> int:
    asked = [verb for verb in commands.SETUP_VERBS if given.pop(verb)]
    return _set_up(given, asked) if asked else _serve(given)


def _set_up(given: Mapping[str, str | None], asked: list[str]) -> int:
    if given["mode"] is not None:
        raise SettingsError("A setup command and --mode cannot be given together.")
    # MODE may stand in .env for the services; a setup command is none of them.
    settings = dataclasses.replace(load(given), mode=None)
    if set(asked) - {"setup_queues"}:
        settings.require("db_url")
    logging_config.setup(settings)
    if "setup_queues" in asked:
        preflight.check_deployment(settings)
    else:
        preflight.check_database(settings)
    with terminal.sentences("restaurant-system", settings):
        return commands.set_up(settings, asked)


def _serve(given: Mapping[str, str | None]) -> int:
    settings = load(given)
    if settings.mode is None:
        raise SettingsError(f"Say what to do: --mode={'|'.join(MODES)}, or a setup command.")
    settings.require(*_NEEDS[settings.mode])
    # Until the service has its own handlers there is nothing to finish.
    handle_stop_signals(lambda *_: sys.exit(commands.DONE))
    logging_config.setup(settings)
    settings = preflight.check_deployment(settings)
    with terminal.sentences("restaurant-system", settings):
        return commands.run(settings)
