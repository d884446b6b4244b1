"""`flask --app pizza kitchen …`: pause and resume the intake of orders, and limit it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pizza.cli import output
from pizza.kitchen import control, storage
from pizza.web.schemas import documents


@click.group(cls=output.StaffGroup)
def kitchen() -> None:
    """The kitchen: whether it takes orders, and how many at a time."""


@kitchen.command()
@click.option("--reason", help="The reason, which customers see.")
@output.by
def pause(reason: str | None, by: str) -> None:
    """Take no orders until `resume`; what was taken is cooked.

    Example:
      flask --app pizza kitchen pause --reason "The oven is cold"
    """
    _change("The kitchen takes no orders.", control.pause_kitchen, reason=reason, by=by)


@kitchen.command()
@output.by
def resume(by: str) -> None:
    """Take orders again.

    Example:
      flask --app pizza kitchen resume
    """
    _change("The kitchen takes orders.", control.resume_kitchen, by=by)


@kitchen.command("max-concurrent")
@click.argument("limit", type=click.IntRange(0, control.MAX_CONCURRENT_LIMIT))
@output.by
def max_concurrent(limit: int, by: str) -> None:
    """Set how many orders may wait or cook at a time; 0 for no limit.

    It holds at once, for every order service, and stays when one starts with another
    --max-concurrent.

    Example:
      flask --app pizza kitchen max-concurrent 80 --by anna
    """
    amount = f"{limit} orders at a time" if limit else "any number of orders at a time"
    _change(f"The restaurant takes {amount}.", control.set_max_concurrent, limit, by=by)


@kitchen.command()
def status() -> None:
    """Show whether the kitchen takes orders, how many at a time, and which stations are staffed.

    Example:
      flask --app pizza kitchen status --json
    """
    with output.open_database() as conn:
        document = documents.kitchen(storage.get_state(conn), storage.list_open_stations(conn))
    output.print_document(document)


def _change(
    sentence: str, feature: Callable[..., control.KitchenState], *values: Any, **given: Any
) -> None:
    with output.open_database() as conn:
        state = feature(conn, *values, **given, actor=output.current_actor())
        document = documents.kitchen(state, storage.list_open_stations(conn))
    output.print_result(sentence, document)
