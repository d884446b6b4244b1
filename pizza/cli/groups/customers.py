"""`flask --app pizza customers …`: what is known of a customer, and who is a VIP."""

from __future__ import annotations

import click

from pizza.cli import desk
from pizza.services import audit, staff
from pizza.web import documents


@click.group()
def customers() -> None:
    """Customers: what is known of one, and who is a VIP."""


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


def _set(name: str, is_vip: bool, by: str, as_json: bool) -> None:
    with desk.database() as conn:
        found = staff.set_vip(conn, name, is_vip, by=by, actor=desk.actor())
    sentence = f"{found.name} is {'a VIP' if found.vip else 'no VIP'}."
    desk.done(sentence, documents.customer(found), as_json=as_json)
