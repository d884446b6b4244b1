"""The staff's desk: what all commands of `flask --app pizza` for the staff share.

A command opens the database, calls a feature, and shows a document: as JSON, as a
table on a terminal, as plain text anywhere else. Exit codes: 0 done, 1 failed, 2 bad usage.
"""

from __future__ import annotations

import getpass
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

import click
import psycopg

from pizza.cli import commands, terminal
from pizza.config import preflight
from pizza.config.settings import Settings, SettingsError, load
from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import DatabaseError, DatabaseUnsupported
from pizza.domain.actor import Actor
from pizza.domain.errors import DomainError, InvalidOrder, InvalidRequest
from pizza.taskqueue.printable import printable
from pizza.web.schemas import serializers

Document = Mapping[str, Any]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the HTTP API does.")
by = click.option("--by", default="staff", show_default=True, help="Who does it, for the log.")

NO_TABLES = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction)
NO_TABLES_YET = "The database is not set up yet: run flask --app pizza setup-db."


def actor() -> Actor:
    """Who runs this command, for the audit log: the user of the operating system."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Actor(source=f"command line ({user})")


@contextmanager
def database() -> Iterator[BoundedConnection]:
    """A connection for the work of a command.

    Whatever is refused or missing ends the program with a sentence on stderr and exit code 1; a
    value that makes no sense, or a missing DB_URL, with 2.
    """
    try:
        settings = load({})
        preflight.check_database(settings)
    except SettingsError as problem:
        sys.exit(commands.refuse(str(problem)))
    need_database(settings)
    if settings.log_file is None:
        # The log goes to stdout, where a person or a program waits for the answer alone.
        logging.getLogger().setLevel(logging.CRITICAL)
    try:
        with connect(settings.db_url, name="pizza staff") as conn, translate_errors():
            yield conn
    except (InvalidRequest, InvalidOrder) as problem:
        reasons = "; ".join(f"{each.field} {each.message}" for each in problem.errors)
        raise click.UsageError(f"{reasons}.") from None
    except NO_TABLES:
        fail(NO_TABLES_YET)
    except DatabaseUnsupported as problem:
        sys.exit(commands.refuse(f"{problem}."))
    except (DomainError, DatabaseError) as problem:
        fail(str(problem))


def need_database(settings: Settings) -> None:
    """End the program with 2 where DB_URL is not set; there is no flag to give it by here."""
    if not settings.db_url:
        terminal.echo("pizza: DB_URL is missing: set it, or write it into .env.", err=True)
        sys.exit(commands.USAGE)


def fail(sentence: str) -> NoReturn:
    """End the program because something could not be done."""
    terminal.echo(f"pizza: {sentence.rstrip('.')}.", err=True)
    sys.exit(commands.FAILED)


def show_list(
    documents: Sequence[Document], columns: Mapping[str, str], *, as_json: bool, nothing: str
) -> None:
    """Print documents, one on each line. columns: titles and the fields that stand under them."""
    if as_json:
        terminal.echo(terminal.json_text(serializers.dump_lines(map(dict, documents))), nl=False)
    elif not documents:
        terminal.echo(nothing)
    else:
        rows = [[cell(document[name]) for name in columns.values()] for document in documents]
        print_table(list(columns), rows)


def show(document: Document, *, as_json: bool) -> None:
    """Print one document: a field on each line."""
    if as_json:
        terminal.echo(terminal.json_text(serializers.dump(dict(document))), nl=False)
        return
    fields = [[name.replace("_", " "), cell(value)] for name, value in document.items()]
    print_table(None, fields)


def done(sentence: str, document: Document, *, as_json: bool) -> None:
    """Say that something was done; to a program show what came of it."""
    if as_json:
        show(document, as_json=True)
    else:
        terminal.echo(sentence)


def cell(value: object) -> str:
    """A value as people read it, on one line."""
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
            text = ", ".join(map(cell, value)) or "-"
        case _:
            text = " ".join(str(value).split())
    return text


def print_table(titles: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, columns with spaces between anywhere else."""
    if sys.stdout.isatty():
        _draw(titles, rows)
        return
    lines = [titles, *rows] if titles else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        terminal.echo("  ".join(padded).rstrip())


def _draw(titles: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415  (not every command needs it)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*titles or (), box=box.SIMPLE_HEAD, show_header=titles is not None)
    for row in rows:
        # As Text, so that a name with brackets is no markup.
        table.add_row(*(Text(printable(text)) for text in row))
    # Wider than the terminal it goes over the edge: a name cut to three letters helps nobody.
    needed = Console(width=10_000).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)
