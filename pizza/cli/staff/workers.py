"""`flask --app pizza workers …`: who is at work, how much and how fast each has done it."""

from __future__ import annotations

import click

from pizza.cli import output
from pizza.kitchen import worker_storage as service
from pizza.web.schemas import documents

_COLUMNS = {
    "Name": "worker_name",
    "Status": "status",
    "Station": "station",
    "Types": "order_types",
    "Tags": "tags",
    "Orders": "orders_processed",
    "Cooking s": "avg_cooking_seconds",
    "p90": "p90_cooking_seconds",
    "Waiting s": "avg_waiting_seconds",
    "p90 ": "p90_waiting_seconds",
    "Last seen (UTC)": "last_seen",
    "Last order": "last_order_at",
}


@click.group(cls=output.StaffGroup)
def workers() -> None:
    """Workers: who is at work, and what each has done."""


@workers.command("list")
@click.option("--name", help="Only this one, letter for letter.")
def list_(name: str | None) -> None:
    """Show all workers; times are averages and 90th percentiles over the newest orders.

    Example:
      flask --app pizza workers list --json
    """
    found = output.run_feature(service.list_workers, name=name)
    nothing = f"No worker is named {name}." if name else "Nobody has ever been at work."
    output.print_list(map(documents.worker, found), _COLUMNS, nothing=nothing)
