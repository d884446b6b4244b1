"""`flask --app pizza customers …`: what is known of one, who is a VIP, export, erasure."""

from __future__ import annotations

import dataclasses

import click

from pizza.cli import desk, terminal
from pizza.services import audit, personal_data, staff
from pizza.web import documents


@click.group()
def customers() -> None:
    """Customers: what is known of one, who is a VIP, export and erasure."""


@customers.command()
@click.argument("name")
@desk.as_json
def show(name: str, as_json: bool) -> None:
    """Show what is known of a customer; capitals, spacing and Unicode form do
    not matter.

    \b
    Example:
      flask --app pizza customers show "John Doe"
    """
    with desk.database() as conn:
        found = staff.customer(conn, name)
        audit.record_read(conn, desk.actor(), "customer_read", audit.customer(conn, name))
    desk.show(documents.customer(found), as_json=as_json)


@customers.command()
@click.argument("name")
@desk.by
@desk.as_json
def vip(name: str, by: str, as_json: bool) -> None:
    """Make a customer a VIP: from the next order on served with priority 10.

    \b
    Example:
      flask --app pizza customers vip "John Doe" --by anna
    """
    _set(name, True, by, as_json)


@customers.command("no-vip")
@click.argument("name")
@desk.by
@desk.as_json
def no_vip(name: str, by: str, as_json: bool) -> None:
    """Make a customer no VIP any more.

    \b
    Example:
      flask --app pizza customers no-vip "John Doe"
    """
    _set(name, False, by, as_json)


@customers.command()
@click.argument("name")
@desk.as_json
def export(name: str, as_json: bool) -> None:
    """Print all that the database holds of a customer, as JSON: the answer to a
    request for access. It is JSON with and without --json.

    \b
    Example:
      flask --app pizza customers export "John Doe" > john-doe.json
    """
    with desk.database() as conn:
        document = personal_data.export(conn, name, actor=desk.actor())
    desk.show(document, as_json=True)


@customers.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@desk.as_json
def erase(name: str, yes: bool, as_json: bool) -> None:
    """Erase a customer for good. Orders stay with items, sums and times; name,
    address, table, notes, keys of requests and contents of messages go.

    An order that has not ended is refused: deliver or cancel it first.

    \b
    Example:
      flask --app pizza customers erase "John Doe"
    """
    if not yes:
        click.confirm(f"Erase the personal data of {name!r} for good?", abort=True, err=True)
    with desk.database() as conn:
        erased = personal_data.erase(conn, name, actor=desk.actor())
    desk.done(
        f"The customer is erased from {erased.orders} orders and {erased.messages} waiting "
        f"messages; {erased.dead_messages} dead messages are deleted.",
        dataclasses.asdict(erased),
        as_json=as_json,
    )
    for queue, messages in erased.unread.items():
        terminal.echo(
            f"{messages} notifications wait in {queue} and may still name the customer, until "
            "their subscriber has received them.",
            err=True,
        )


def _set(name: str, is_vip: bool, by: str, as_json: bool) -> None:
    with desk.database() as conn:
        found = staff.set_vip(conn, name, is_vip, by=by, actor=desk.actor())
    sentence = f"{found.name} is {'a VIP' if found.vip else 'no VIP'}."
    desk.done(sentence, documents.customer(found), as_json=as_json)
