"""`flask --app pizza menu …`: what there is, and what is sold out."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click

from pizza.cli import output
from pizza.menu import dishes, storage
from pizza.web.schemas import documents

_COLUMNS = {"Dish": "name", "Tag": "tag", "Price": "price", "Sold out": "sold_out"}


def _price(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise click.BadParameter(f"{text!r} is no price") from None


@click.group(cls=output.StaffGroup)
def menu() -> None:
    """The menu: dishes, and what is sold out."""


@menu.command("list")
def list_() -> None:
    """Show the menu, by tag and name.

    Example:
      flask --app pizza menu list
    """
    found = output.run_feature(storage.list_dishes)
    output.print_list(map(documents.dish, found), _COLUMNS, nothing="The menu is empty.")


@menu.command()
@click.argument("name")
@click.option("--tag", required=True, help="What a cook must be good at, such as pizza.")
@click.option(
    "--price",
    type=_price,
    metavar="PRICE",
    help="For one piece; without it the waiter says it.",
)
def add(name: str, tag: str, price: Decimal | None) -> None:
    """Put a dish on the menu, or change the one of this name.

    Example:
      flask --app pizza menu add "Pizza Funghi" --tag pizza --price 16.50
    """
    actor = output.current_actor()
    dish = output.run_feature(dishes.add_dish, name, tag, price, actor=actor)
    output.print_result(f"{dish.name} is on the menu.", documents.dish(dish))


@menu.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take a dish off the menu.

    Example:
      flask --app pizza menu remove "Pizza Funghi"
    """
    output.run_feature(dishes.remove_dish, name, actor=output.current_actor())
    output.print_result(f"{name} is off the menu.", {"removed": name})


@menu.command("sold-out")
@click.argument("name")
def sold_out(name: str) -> None:
    """A dish is sold out: orders with it are refused.

    Example:
      flask --app pizza menu sold-out "Tomato Soup"
    """
    _set_sold_out(name, True)


@menu.command()
@click.argument("name")
def available(name: str) -> None:
    """A dish is to be had again.

    Example:
      flask --app pizza menu available "Tomato Soup"
    """
    _set_sold_out(name, False)


def _set_sold_out(name: str, sold_out: bool) -> None:
    actor = output.current_actor()
    dish = output.run_feature(dishes.set_sold_out, name, sold_out, actor=actor)
    state = "sold out" if dish.sold_out else "to be had"
    output.print_result(f"{dish.name} is {state}.", documents.dish(dish))
