"""`flask --app pizza audit`: who has changed what, or read whose data."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import click

from pizza.audit import audit_log as service
from pizza.audit.audit_log import AuditEntry
from pizza.cli import output
from pizza.observability.printable import printable

_COLUMNS = {
    "Time (UTC)": "at",
    "Actor": "actor",
    "Key": "key_id",
    "Role": "role",
    "Action": "action",
    "Object": "object",
    "From": "source",
    "Before": "before",
    "After": "after",
}


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time such as 2024-12-16 or 2024-12-16T18:30"
        raise click.BadParameter(message) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.command(cls=output.StaffCommand)
@click.option("--actor", help="Only what was done with the key, or in the name, of this.")
@click.option("--action", help="Only this, such as dish_changed.")
@click.option("--object", "about", help='Only about this: webhook, "webhook 3", "customer Jo Doe".')
@click.option("--since", type=_moment, metavar="TIME", help="Only from this time on (UTC).")
@click.option("--before", type=int, metavar="ID", help="Only older entries than this one.")
@click.option("--limit", type=int, default=service.LISTED, show_default=True, help="How many.")
def audit(**asked: Any) -> None:
    """Show the audit log, newest first: changes, and reads of personal data.

    Example:
      flask --app pizza audit --actor Anna --since 2024-12-16
      flask --app pizza audit --object "dish Margherita Pizza"
    """
    found = output.run_feature(service.list_entries, **asked)
    rows = [dataclasses.asdict(each) if output.wants_json() else _row(each) for each in found]
    output.print_list(rows, _COLUMNS, nothing="There are no such entries.")


def _row(entry: AuditEntry) -> dict[str, object]:
    return {
        **dataclasses.asdict(entry),
        "actor": printable(entry.actor),
        "object": printable(f"{entry.object_kind} {entry.object_id}").rstrip(),
        "before": _facts(entry.before),
        "after": _facts(entry.after),
    }


def _facts(details: service.Details | None) -> str | None:
    return None if details is None else printable(json.dumps(details, ensure_ascii=False))
