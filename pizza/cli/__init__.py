"""The command line: `restaurant-system` with the flags of the specification.

Bad usage prints one sentence on stderr and exits with 2, without a traceback.
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
from pizza.config.settings import MODES, OPTIONS, SettingsError, load
from pizza.observability import logging_config
from pizza.taskqueue.lifecycle import handle_stop_signals


class _Command(click.Command):
    def get_help(self, ctx: click.Context) -> str:
        return USAGE.rstrip("\n")


def _command() -> click.Command:
    # pizza.config.settings parses the values, so that flags and variables behave the same.
    options: list[click.Parameter] = [
        click.Option([option.flag, option.name]) for option in OPTIONS if option.flag
    ]
    options += [
        click.Option([f"--{name.replace('_', '-')}", name], is_flag=True)
        for name in commands.SETUP_COMMANDS
    ]
    command = _Command("restaurant-system", params=options, callback=_run)
    return click.version_option(package_name="pizza", message="%(package)s %(version)s")(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code. argv: without the name of the program."""
    if argv is None:
        hide_passwords.hide_passwords()
        terminal.accept_any_text()
    try:
        code = _command().main(
            args=None if argv is None else list(argv),
            prog_name="restaurant-system",
            standalone_mode=False,
        )
    except click.ClickException as problem:
        sentence = problem.format_message().rstrip(".")
        return commands.print_refusal(f"{sentence}. See restaurant-system --help.")
    except SettingsError as problem:
        return commands.print_refusal(f"{problem} See restaurant-system --help.")
    except (KeyboardInterrupt, click.Abort):
        return commands.EXIT_FAILED
    return code if isinstance(code, int) else commands.EXIT_OK


def _run(**given: Any) -> int:
    asked = [name for name in commands.SETUP_COMMANDS if given.pop(name)]
    return _set_up(given, asked) if asked else _serve(given)


def _set_up(given: Mapping[str, str | None], asked: list[str]) -> int:
    if given["mode"] is not None:
        raise SettingsError("A setup command and --mode cannot be given together.")
    # MODE in .env is for the services.
    settings = dataclasses.replace(load(given), mode=None)
    if set(asked) - {"setup_queues"}:
        settings.require("db_url")
    logging_config.setup_logging(settings)
    if "setup_queues" in asked:
        preflight.check_deployment(settings)
    else:
        preflight.check_database(settings)
    with terminal.report_errors("restaurant-system", settings):
        return commands.run_setup(settings, asked)


def _serve(given: Mapping[str, str | None]) -> int:
    settings = load(given)
    if settings.mode is None:
        raise SettingsError(f"Say what to do: --mode={'|'.join(MODES)}, or a setup command.")
    _, needed = commands.SERVICES[settings.mode]
    settings.require(*needed)
    # Until the service installs its handlers there is no work to finish.
    handle_stop_signals(lambda *_: sys.exit(commands.EXIT_OK))
    logging_config.setup_logging(settings)
    settings = preflight.check_deployment(settings)
    with terminal.report_errors("restaurant-system", settings):
        return commands.run_service(settings)
