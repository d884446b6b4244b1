"""`flask --app pizza keys …`: who may do what staff may."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta

import click

from pizza.auth import keys as service
from pizza.auth import storage
from pizza.cli import output, terminal
from pizza.domain.roles import DEVICE, MANAGER, PERSON, ROLES

_COLUMNS = {
    "Id": "id",
    "Name": "name",
    "Role": "role",
    "Kind": "kind",
    "Made (UTC)": "created_at",
    "Last use (UTC)": "last_used_at",
    "Expires (UTC)": "expires_at",
    "Revoked (UTC)": "revoked_at",
}
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=3650)


def _length(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text)
    if found is None or (length := timedelta(**{_UNITS[found[2]]: int(found[1])})) > _LONGEST:
        raise click.BadParameter(f"{text!r} is no length of time such as 12h, 30d or 8w")
    return length


@click.group(cls=output.StaffGroup)
def keys() -> None:
    """Staff keys: with the first one authentication is required."""


@keys.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default=MANAGER,
    show_default=True,
    help="What it is good for.",
)
@click.option("--device", is_flag=True, help="It is for a device, not for a person.")
@click.option("--expires", type=_length, metavar="TIME", help="Such as 12h, 30d or 8w from now.")
def add(name: str, role: str, device: bool, expires: timedelta | None) -> None:
    """Make a key, for a person or a device, and print it: this once, it is not stored.

    A monitor may read /metrics; a station the kitchen's board and move its orders; staff may do
    that, and read and change orders; a manager may do everything.

    Example:
      flask --app pizza keys add "Anna"
      flask --app pizza keys add "Pass tablet" --role station --device --expires 30d
    """
    kept, key = output.run_feature(
        service.add_key,
        name,
        role=role,
        kind=DEVICE if device else PERSON,
        good_for=expires,
        actor=output.current_actor(),
    )
    output.print_result(key, {**dataclasses.asdict(kept), "key": key})
    if not output.wants_json():
        terminal.echo(
            f"This is the key {kept.id} of {kept.name}, role {kept.role}. It is not shown again. "
            "From now on the order service asks staff for a key: Authorization: Bearer …",
            err=True,
        )


@keys.command("list")
def list_() -> None:
    """Show all keys, oldest first, the expired and revoked ones too; no key itself.

    Example:
      flask --app pizza keys list
    """
    found = output.run_feature(storage.list_keys)
    nothing = "There are no keys in the database."
    output.print_list(map(dataclasses.asdict, found), _COLUMNS, nothing=nothing)


@keys.command()
@click.argument("id", metavar="ID")
def revoke(id: str) -> None:
    """Revoke a key, in running services within a second.

    Its sessions and open streams end, and its webhooks are disabled.

    Example:
      flask --app pizza keys revoke 1f2e3d4c
    """
    kept = output.run_feature(service.revoke_key, id, actor=output.current_actor())
    sentence = f"The key {kept.id} of {kept.name} is revoked."
    output.print_result(sentence, dataclasses.asdict(kept))
