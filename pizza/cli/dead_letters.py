"""`flask --app pizza dead-letters …`: list, retry or drop messages that could not be processed.

Needs PostgreSQL only. Exit codes: 0 done, 1 some could not be retried or dropped, 2 bad usage.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable

import click

from pizza.cli import commands, output, terminal
from pizza.cli.output import format_cell
from pizza.config.settings import Settings
from pizza.operations import dead_letters as service
from pizza.taskqueue.dead_letters import management
from pizza.taskqueue.dead_letters.management import BulkResult, StoredDeadLetter

_MAX_REASON = 200
# How many failures are printed; the log has them all.
_MAX_FAILURES = 20


def group(settings: Settings) -> click.Group:
    """The command group of an application with these settings."""

    @click.group(name="dead-letters", help="Messages that nobody could process.")
    def dead_letters() -> None:
        pass

    @dead_letters.command(name="list")
    @click.option("--json", "as_json", is_flag=True, help="One JSON array.")
    @click.option("--limit", default=100, type=click.IntRange(1, 10_000), show_default=True)
    def list_(as_json: bool, limit: int) -> None:
        """Show dead letters, oldest first; of a large body only its beginning.

        Example: flask --app pizza dead-letters list --limit 20
        """
        with output.open_connection(settings, "dead letters") as conn:
            pages = management.list_pages(conn, limit)
            found = (each for page in pages for each in page)
            if as_json:
                _print_array(found)
                return
            shown = 0
            for each in found:
                shown += 1
                terminal.echo(_line(each))
            total = management.count(conn)
        if total > shown:
            terminal.echo(f"{_counted(total)}; the oldest {shown} are shown.")
        else:
            terminal.echo(f"{_counted(shown)}.")

    @dead_letters.command()
    @click.argument("id")
    @click.option("--json", "as_json", is_flag=True, help="JSON on a terminal, too.")
    def show(id: str, as_json: bool) -> None:
        """Show one dead letter whole, with its traceback; as JSON anywhere but on a terminal.

        Example: flask --app pizza dead-letters show 0b6c7c3e-…
        """
        with output.open_connection(settings, "dead letters") as conn:
            found = management.find(conn, id)
        if found is None:
            output.exit_with_error(f"There is no dead letter {id}")
        if as_json or not sys.stdout.isatty():
            terminal.echo(json.dumps(dataclasses.asdict(found), indent=2))
        else:
            terminal.echo(_text(found))

    @dead_letters.command()
    @click.argument("id", required=False)
    @click.option("--all", "everything", is_flag=True, help="All of them.")
    def retry(id: str | None, everything: bool) -> None:
        """Send a dead letter again, as a new message of its task.

        Example: flask --app pizza dead-letters retry --all
        """
        _change(settings, service.retry, id, everything, "sent again")

    @dead_letters.command()
    @click.argument("id", required=False)
    @click.option("--all", "everything", is_flag=True, help="All of them.")
    def drop(id: str | None, everything: bool) -> None:
        """Drop a dead letter for good.

        Example: flask --app pizza dead-letters drop 0b6c7c3e-…
        """
        _change(settings, service.drop, id, everything, "dropped")

    return dead_letters


def _change(
    settings: Settings,
    change: Callable[..., BulkResult],
    id: str | None,
    everything: bool,
    what: str,
) -> None:
    """Change one dead letter or all; print how many were changed, and which failed and why.

    Exits with 1 if any failed.
    """
    if bool(id) == everything:
        raise click.UsageError("Name one dead letter, or say --all.")
    with output.open_connection(settings, "dead letters") as conn:
        done = change(conn, id or None, output.current_actor())
    if id is not None and done.count == 0 and not done.failures:
        output.exit_with_error(f"There is no dead letter {id}")
    terminal.echo(f"{_counted(done.count)} {'was' if done.count == 1 else 'were'} {what}.")
    for failed, reason in list(done.failures.items())[:_MAX_FAILURES]:
        terminal.echo(f"pizza: {failed} was not {what}: {format_cell(reason)}.", err=True)
    more = len(done.failures) - _MAX_FAILURES
    if more > 0:
        terminal.echo(f"pizza: {more} more were not {what}.", err=True)
    if done.failures:
        sys.exit(commands.EXIT_FAILED)


def _print_array(found: Iterable[StoredDeadLetter]) -> None:
    """Print a JSON array while reading: it may not fit into memory."""
    separator = "["
    for each in found:
        terminal.echo(f"{separator}\n{json.dumps(dataclasses.asdict(each), indent=2)}", nl=False)
        separator = ","
    terminal.echo("\n]" if separator == "," else "[]")


def _line(letter: StoredDeadLetter) -> str:
    reason = format_cell(letter.reason)
    if len(reason) > _MAX_REASON:
        reason = f"{reason[:_MAX_REASON]}…"
    where = format_cell(letter.queue)
    task = format_cell(letter.task or "-")
    return (
        f"{letter.id}  {letter.died_at}  {where}  {task}  {letter.attempt}/{letter.runs}: {reason}"
    )


def _text(letter: StoredDeadLetter) -> str:
    fields = {
        "id": letter.id,
        "reason": letter.reason,
        "task": letter.task or "-",
        "queue": letter.queue,
        "died at": letter.died_at,
        "attempts": letter.attempt,
        "runs": letter.runs,
        "priority": letter.priority,
        "needs": letter.needs,
        "size": f"{letter.size} bytes",
    }
    lines = [f"{name:10}{format_cell(value)}" for name, value in fields.items()]
    for name, value in (("headers", letter.headers), ("body", letter.body)):
        lines += ["", name, json.dumps(value, indent=2, ensure_ascii=False)]
    if letter.traceback:
        lines += ["", letter.traceback]
    return "\n".join(lines)


def _counted(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"
