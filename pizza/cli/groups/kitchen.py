"""`flask --app pizza kitchen …`: pause and resume the intake of orders, and limit it."""

from __future__ import annotations

import click

from pizza.cli import desk
from pizza.services import staff
from pizza.web import documents


@click.group()
def kitchen() -> None:
    """The kitchen: whether it takes orders, and how many at a time."""


@kitchen.command()
@click.option("--reason", help="Why; guests are told.")
@desk.by
@desk.as_json
def pause(reason: str | None, by: str, as_json: bool) -> None:
    """Take no orders until `resume`; what was taken is cooked.

    \b
    Example:
      flask --app pizza kitchen pause --reason "The oven is cold"
    """
    with desk.database() as conn:
        state = staff.pause_kitchen(conn, reason=reason, by=by, actor=desk.actor())
        document = documents.kitchen(state, staff.open_stations(conn))
    desk.done("The kitchen takes no orders.", document, as_json=as_json)


@kitchen.command()
@desk.by
@desk.as_json
def resume(by: str, as_json: bool) -> None:
    """Take orders again.

    \b
    Example:
      flask --app pizza kitchen resume
    """
    with desk.database() as conn:
        state = staff.resume_kitchen(conn, by=by, actor=desk.actor())
        document = documents.kitchen(state, staff.open_stations(conn))
    desk.done("The kitchen takes orders.", document, as_json=as_json)


@kitchen.command("max-concurrent")
@click.argument("limit", type=click.IntRange(0, staff.MAX_CONCURRENT_LIMIT))
@desk.by
@desk.as_json
def max_concurrent(limit: int, by: str, as_json: bool) -> None:
    """Set how many orders may wait or cook at a time; 0 for no limit.

    It holds at once, for every order service, and stays when one starts with another
    --max-concurrent.

    \b
    Example:
      flask --app pizza kitchen max-concurrent 80 --by anna
    """
    with desk.database() as conn:
        state = staff.set_max_concurrent(conn, limit, by=by, actor=desk.actor())
        document = documents.kitchen(state, staff.open_stations(conn))
    amount = f"{limit} orders at a time" if limit else "any number of orders at a time"
    desk.done(f"The restaurant takes {amount}.", document, as_json=as_json)


@kitchen.command()
@desk.as_json
def status(as_json: bool) -> None:
    """Show whether the kitchen takes orders, how many at a time, and which stations are staffed.

    \b
    Example:
      flask --app pizza kitchen status --json
    """
    with desk.database() as conn:
        document = documents.kitchen(staff.kitchen_state(conn), staff.open_stations(conn))
    desk.show(document, as_json=as_json)
