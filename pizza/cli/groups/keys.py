"""`flask --app pizza keys …`: who may do what staff may."""

from __future__ import annotations

import dataclasses

import click

from pizza.cli import desk, terminal
from pizza.services import doors

_COLUMNS = {
    "Id": "id", "Name": "name", "Made (UTC)": "created_at", "Revoked (UTC)": "revoked_at",
}  # fmt: skip


@click.group()
def keys() -> None:
    """Staff keys: with the first one the doors are closed to all others."""


@keys.command()
@click.argument("name")
@desk.as_json
def add(name: str, as_json: bool) -> None:
    """Make a key, for a person or a device, and print it: this once, it is kept nowhere.

    \b
    Example:
      flask --app pizza keys add "Anna's tablet"
    """
    with desk.database() as conn:
        kept, key = doors.add_key(conn, name)
    if as_json:
        desk.show({**dataclasses.asdict(kept), "key": key}, as_json=True)
        return
    terminal.echo(key)
    terminal.echo(
        f"This is the key {kept.id} of {kept.name}. It is not shown again. From now on the order "
        "service asks staff for a key: Authorization: Bearer …",
        err=True,
    )


@keys.command("list")
@desk.as_json
def list_(as_json: bool) -> None:
    """Show all keys, oldest first, the revoked ones too; no key itself.

    \b
    Example:
      flask --app pizza keys list
    """
    with desk.database() as conn:
        found = doors.list_keys(conn)
    desk.show_list(
        [dataclasses.asdict(each) for each in found], _COLUMNS,
        as_json=as_json, nothing="There are no keys in the database.",
    )  # fmt: skip


@keys.command()
@click.argument("id", metavar="ID")
@desk.as_json
def revoke(id: str, as_json: bool) -> None:
    """Let a key count no more, in running services within a second.

    \b
    Example:
      flask --app pizza keys revoke 1f2e3d4c
    """
    with desk.database() as conn:
        kept = doors.revoke_key(conn, id)
    sentence = f"The key {kept.id} of {kept.name} is revoked."
    desk.done(sentence, dataclasses.asdict(kept), as_json=as_json)
