"""`flask --app pizza report`: how a day went."""

from __future__ import annotations

import click

from pizza.cli import output, terminal
from pizza.reports import storage
from pizza.reports.day import TODAY, read_day
from pizza.reports.storage import Figures
from pizza.web.schemas import documents

_TITLES = (
    "Orders",
    "Count",
    "Cancelled",
    "Prepared",
    "Average s",
    "90 % within s",
    "Late",
    "Late share",
)


@click.command(cls=output.StaffCommand)
@click.option(
    "--day",
    default=TODAY,
    show_default=True,
    metavar="YYYY-MM-DD",
    help="The day (UTC), or today.",
)
def report(day: str) -> None:
    """Show a day's orders: how many, how fast, how many late, by type and by priority.

    Preparation is from received to ready; late is what was ready more than a second after its
    first estimate.

    Example:
      flask --app pizza report --day 2024-12-16
    """
    with output.open_database() as conn:
        found = storage.day_report(conn, read_day(day))
    if output.wants_json():
        output.print_json(documents.report(found))
        return
    terminal.echo(f"Orders of {found.day} (UTC)\n")
    rows = [_row("all", found.all)]
    rows += [_row(kind, part) for kind, part in found.by_type.items()]
    rows += [_row(f"priority {level}", part) for level, part in found.by_priority.items()]
    output.print_table(_TITLES, rows)


def _row(name: str, part: Figures) -> list[object]:
    return [
        name,
        part.orders,
        part.cancelled,
        part.prepared,
        part.avg_preparation_seconds,
        part.p90_preparation_seconds,
        part.late,
        None if part.late_share is None else f"{part.late_share:.1%}",
    ]
