"""`flask --app pizza dead-letters …`: messages that nobody could process, and what to do with them.

Needs RabbitMQ; `retry` needs PostgreSQL too, where messages are sent from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TypeVar

import click

from pizza.cli import desk
from pizza.database.connection import available, connect
from pizza.database.errors import DatabaseError
from pizza.framework import dead_letters
from pizza.framework.broker import Broker
from pizza.framework.dead_letters import DeadLetter
from pizza.framework.errors import FrameworkError
from pizza.settings import Settings

T = TypeVar("T")

Chosen = Callable[[DeadLetter], bool]


def group(settings: Settings) -> click.Group:
    """The commands, for an application with these settings."""

    @click.group(name="dead-letters", help="Messages that nobody could process.")
    def commands() -> None:
        pass

    @commands.command(name="list")
    @click.option("--json", "as_json", is_flag=True, help="One JSON array.")
    @click.option("--limit", default=100, type=click.IntRange(1, 10_000), show_default=True)
    def list_(as_json: bool, limit: int) -> None:
        """Show dead letters, oldest first.

        Example: flask --app pizza dead-letters list --limit 20
        """
        found = _run(lambda: dead_letters.letters(_broker(settings), limit))
        if as_json:
            click.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
            return
        for each in found:
            click.echo(
                f"{each.id}  {each.died_at}  {each.queue}  {each.task or '-'}: {each.reason}"
            )
        click.echo(f"{_letters(len(found))}.")

    @commands.command()
    @click.argument("id")
    def show(id: str) -> None:
        """Show one dead letter whole, as JSON.

        Example: flask --app pizza dead-letters show 0b6c7c3e-…
        """
        found = _run(lambda: dead_letters.letters(_broker(settings)))
        for each in found:
            if each.id == id:
                click.echo(json.dumps(dataclasses.asdict(each), indent=2))
                return
        desk.fail(f"There is no dead letter {id}.")

    @commands.command()
    @click.argument("id", required=False)
    @click.option("--all", "everything", is_flag=True, help="All of them.")
    def retry(id: str | None, everything: bool) -> None:
        """Send a dead letter again, as a new message of its task.

        Example: flask --app pizza dead-letters retry --all
        """
        chosen = _chosen(id, everything)
        desk.need_database(settings)

        def work() -> int:
            with connect(settings.db_url, name="dead letters") as conn, available():
                return dead_letters.retry(_broker(settings), conn, chosen)

        _report(_run(work), id, "sent again")

    @commands.command()
    @click.argument("id", required=False)
    @click.option("--all", "everything", is_flag=True, help="All of them.")
    def drop(id: str | None, everything: bool) -> None:
        """Throw a dead letter away.

        Example: flask --app pizza dead-letters drop 0b6c7c3e-…
        """
        chosen = _chosen(id, everything)
        _report(_run(lambda: dead_letters.drop(_broker(settings), chosen)), id, "thrown away")

    return commands


def _broker(settings: Settings) -> Broker:
    return Broker(settings.broker_url, name="dead letters")


def _chosen(id: str | None, everything: bool) -> Chosen:
    if (id is None) == (not everything):
        raise click.UsageError("Name one dead letter, or say --all.")
    return lambda letter: everything or letter.id == id


def _run(work: Callable[[], T]) -> T:
    try:
        return work()
    except (FrameworkError, DatabaseError) as problem:
        desk.fail(str(problem))
    except desk.NO_TABLES:
        desk.fail(desk.NO_TABLES_YET)


def _report(count: int, id: str | None, done: str) -> None:
    if id is not None and count == 0:
        desk.fail(f"There is no dead letter {id}.")
    click.echo(f"{_letters(count)} {'was' if count == 1 else 'were'} {done}.")


def _letters(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"
