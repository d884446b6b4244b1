"""What the staff commands of `flask --app pizza` share: database, errors and output.

A command opens the database, calls a feature, and prints a document: as JSON, as a table on a
terminal, else as plain text. Exit codes: 0 done, 1 failed, 2 bad usage.
"""

from __future__ import annotations

import getpass
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import click
import psycopg

from pizza.cli import commands, terminal
from pizza.config import preflight
from pizza.config.settings import Settings, SettingsError, load
from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseError, DatabaseUnsupported
from pizza.domain.actor import Actor
from pizza.domain.errors import DomainError, InvalidOrder, InvalidRequest
from pizza.observability.printable import printable
from pizza.web.schemas import serializers

Document = Mapping[str, Any]

_JSON = "pizza wants JSON"
_JSON_OPTION = click.Option(
    ["--json"],
    is_flag=True,
    expose_value=False,
    callback=lambda context, option, value: context.meta.update({_JSON: value}),
    help="Print JSON, as the HTTP API does.",
)
by = click.option("--by", default="staff", show_default=True, help="Who does it, for the log.")

_NOT_SET_UP = "The database is not set up yet: run flask --app pizza setup-db."


P = ParamSpec("P")
Result = TypeVar("Result")


class StaffCommand(click.Command):
    """A command with the option `--json`. Its help keeps the lines of the example."""

    def __init__(self, *, help: str, params: list[click.Parameter], **given: Any) -> None:
        # click joins the lines of a paragraph that does not begin with this character.
        page = inspect.cleandoc(help).replace("\n\nExample:", "\n\n\b\nExample:")
        super().__init__(help=page, params=[*params, _JSON_OPTION], **given)


class StaffGroup(click.Group):
    """A group of such commands."""

    command_class = StaffCommand


def wants_json() -> bool:
    """Whether `--json` was given to the current command."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_JSON))


def current_actor() -> Actor:
    """The user of the operating system, as the actor in the audit log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Actor(source=f"command line ({user})")


@contextmanager
def open_database() -> Iterator[BoundedConnection]:
    """A connection for a command of staff, with the settings of the environment."""
    try:
        settings = load({})
        preflight.check_database(settings)
    except SettingsError as problem:
        sys.exit(commands.print_refusal(str(problem)))
    if settings.log_file is None:
        # The log goes to stdout too, and would mix with the output.
        logging.getLogger().setLevel(logging.CRITICAL)
    with open_connection(settings, "pizza staff") as conn:
        yield conn


@contextmanager
def open_connection(settings: Settings, name: str) -> Iterator[BoundedConnection]:
    """A connection for a command. name: shown in PostgreSQL's list of sessions.

    Errors of the domain or the database end the program with a sentence on stderr and exit code 1;
    invalid values, or a missing DB_URL, with exit code 2.
    """
    require_database(settings)
    try:
        with connect(settings.db_url, name=name) as conn, translate_errors():
            yield conn
    except (InvalidRequest, InvalidOrder) as problem:
        reasons = "; ".join(f"{each.field} {each.message}" for each in problem.errors)
        raise click.UsageError(f"{reasons}.") from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
        exit_with_error(_NOT_SET_UP)
    except DatabaseUnsupported as problem:
        sys.exit(commands.print_refusal(f"{problem}."))
    except (DomainError, DatabaseError) as problem:
        exit_with_error(str(problem))


def run_feature(
    feature: Callable[Concatenate[BoundedConnection, P], Result], *args: P.args, **given: P.kwargs
) -> Result:
    """Call a function of a feature with a connection, which is its first argument."""
    with open_database() as conn:
        return feature(conn, *args, **given)


def require_database(settings: Settings) -> None:
    """Exit with 2 when DB_URL is not set; `flask` has no flag for it."""
    if not settings.db_url:
        terminal.echo("pizza: DB_URL is missing: set it, or write it into .env.", err=True)
        sys.exit(commands.EXIT_USAGE)


def exit_with_error(sentence: str) -> NoReturn:
    """Print the sentence on stderr and exit with 1."""
    terminal.echo(f"pizza: {sentence.rstrip('.')}.", err=True)
    sys.exit(commands.EXIT_FAILED)


def print_list(found: Iterable[Document], columns: Mapping[str, str], *, nothing: str) -> None:
    """Print documents, one on each line. columns: the title and the field of each column."""
    documents = list(found)
    if wants_json():
        terminal.echo(terminal.json_text(serializers.dump_lines(map(dict, documents))), nl=False)
    elif not documents:
        terminal.echo(nothing)
    else:
        rows = [[each[name] for name in columns.values()] for each in documents]
        print_table(list(columns), rows)


def print_document(document: Document) -> None:
    """Print one document, a field on each line."""
    if wants_json():
        print_json(document)
    else:
        print_table(None, [[name.replace("_", " "), value] for name, value in document.items()])


def print_result(sentence: str, document: Document) -> None:
    """Print a sentence, or as JSON the changed document."""
    if wants_json():
        print_json(document)
    else:
        terminal.echo(sentence)


def print_json(document: Document) -> None:
    """Print one document as JSON."""
    terminal.echo(terminal.json_text(serializers.dump(dict(document))), nl=False)


def format_cell(value: object) -> str:
    """A value as text on one line."""
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case datetime():
            text = f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        case float():
            text = f"{value:.1f}"
        case Decimal():
            text = f"{value:.2f}"
        case list() | tuple():
            text = ", ".join(map(format_cell, value)) or "-"
        case _:
            text = " ".join(str(value).split())
    return text


def print_table(titles: Sequence[str] | None, rows: Iterable[Sequence[object]]) -> None:
    """Print a table: with lines on a terminal, else as columns separated by spaces."""
    cells = [[format_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _draw(titles, cells)
        return
    lines = [titles, *cells] if titles else cells
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        terminal.echo("  ".join(padded).rstrip())


def _draw(titles: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415  (few commands need it)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*titles or (), box=box.SIMPLE_HEAD, show_header=titles is not None)
    for row in rows:
        # As Text, so that brackets in a name are not markup.
        table.add_row(*(Text(printable(text)) for text in row))
    # A wide table exceeds the terminal: names cut to three letters would be useless.
    needed = Console(width=10_000).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)
