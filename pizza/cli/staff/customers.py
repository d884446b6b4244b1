"""`flask --app pizza customers …`: what is known of one, who is a VIP, export, erasure."""

from __future__ import annotations

import dataclasses

import click

from pizza.audit import audit_log
from pizza.cli import output, terminal
from pizza.customers import personal_data, profiles
from pizza.web.schemas import documents


@click.group(cls=output.StaffGroup)
def customers() -> None:
    """Customers: what is known of one, who is a VIP, export and erasure."""


@customers.command()
@click.argument("name")
def show(name: str) -> None:
    """Show what is known of a customer; capitals, spacing and Unicode form do
    not matter.

    Example:
      flask --app pizza customers show "John Doe"
    """
    with output.open_database() as conn:
        found = profiles.customer(conn, name)
        audit_log.record_read(
            conn, output.current_actor(), "customer_read", audit_log.customer_subject(conn, name)
        )
    output.print_document(documents.customer(found))


@customers.command()
@click.argument("name")
@output.by
def vip(name: str, by: str) -> None:
    """Make a customer a VIP: from the next order on served with priority 10.

    Example:
      flask --app pizza customers vip "John Doe" --by anna
    """
    _set(name, True, by)


@customers.command("no-vip")
@click.argument("name")
@output.by
def no_vip(name: str, by: str) -> None:
    """Make a customer an ordinary one again.

    Example:
      flask --app pizza customers no-vip "John Doe"
    """
    _set(name, False, by)


@customers.command()
@click.argument("name")
def export(name: str) -> None:
    """Print all that the database holds of a customer, as JSON: the answer to a
    request for access. It is JSON with and without --json.

    Example:
      flask --app pizza customers export "John Doe" > john-doe.json
    """
    actor = output.current_actor()
    output.print_json(output.run_feature(personal_data.export, name, actor=actor))


@customers.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(name: str, yes: bool) -> None:
    """Erase a customer for good. Orders stay with items, sums and times; name,
    address, table, notes, keys of requests and contents of messages go.

    An order that has not ended is refused: deliver or cancel it first.

    Example:
      flask --app pizza customers erase "John Doe"
    """
    if not yes:
        click.confirm(f"Erase the personal data of {name!r} for good?", abort=True, err=True)
    erased = output.run_feature(personal_data.erase, name, actor=output.current_actor())
    output.print_result(
        f"The customer is erased from {erased.orders} orders and {erased.messages} waiting "
        f"messages; {erased.dead_messages} dead messages are deleted.",
        dataclasses.asdict(erased),
    )
    for queue, messages in erased.unread.items():
        terminal.echo(
            f"{messages} notifications wait in {queue} and may still name the customer, until "
            "their subscriber has received them.",
            err=True,
        )


def _set(name: str, is_vip: bool, by: str) -> None:
    actor = output.current_actor()
    found = output.run_feature(profiles.set_vip, name, is_vip, by=by, actor=actor)
    sentence = f"{found.name} is {'a VIP' if found.vip else 'no VIP'}."
    output.print_result(sentence, documents.customer(found))
