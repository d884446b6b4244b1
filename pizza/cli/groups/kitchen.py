"""`flask --app pizza kitchen …`: pause and resume the intake of orders."""

from __future__ import annotations

import click

from pizza.cli import desk
from pizza.services import staff
from pizza.web import documents


@click.group()
def kitchen() -> None:
    """The kitchen: whether it takes orders."""


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
        state = staff.pause_kitchen(conn, reason=reason, by=by)
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
        state = staff.resume_kitchen(conn, by=by)
        document = documents.kitchen(state, staff.open_stations(conn))
    desk.done("The kitchen takes orders.", document, as_json=as_json)


@kitchen.command()
@desk.as_json
def status(as_json: bool) -> None:
    """Show whether the kitchen takes orders, and which stations are staffed.

    \b
    Example:
      flask --app pizza kitchen status --json
    """
    with desk.database() as conn:
        document = documents.kitchen(staff.kitchen_state(conn), staff.open_stations(conn))
    desk.show(document, as_json=as_json)
