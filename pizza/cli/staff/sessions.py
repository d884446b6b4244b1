"""`flask --app pizza sessions …`: the browsers that are logged in."""

from __future__ import annotations

import dataclasses

import click

from pizza.auth import sessions as service
from pizza.auth import storage
from pizza.auth.sessions import SHORT_ID
from pizza.cli import output

_COLUMNS = {
    "Id": "id",
    "Key": "key",
    "Since (UTC)": "created_at",
    "Last use (UTC)": "last_used_at",
    "Ends (UTC)": "expires_at",
    "From": "client",
    "Browser": "user_agent",
}


@click.group(cls=output.StaffGroup)
def sessions() -> None:
    """Sessions: the browsers that have logged in with a key."""


@sessions.command("list")
def list_() -> None:
    """Show the sessions that have not ended, oldest first.

    Example:
      flask --app pizza sessions list
    """
    found = output.run_feature(storage.list_sessions)
    shown = [{**dataclasses.asdict(each), "id": each.id[:SHORT_ID]} for each in found]
    output.print_list(shown, _COLUMNS, nothing="Nobody is logged in.")


@sessions.command()
@click.argument("id", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All of them.")
def end(id: str | None, everything: bool) -> None:
    """Log a browser out, in running services within a second. Its key stays good.

    Example:
      flask --app pizza sessions end 1f2e3d4c5b6a
    """
    if bool(id) == everything:
        raise click.UsageError("Name one session, or say --all.")
    actor, count = output.current_actor(), 1
    if id:
        output.run_feature(service.end_session, id, actor=actor)
    else:
        count = output.run_feature(service.end_all_sessions, actor=actor)
    sentence = f"{count} session{' has' if count == 1 else 's have'} ended."
    output.print_result(sentence, {"ended": count})
