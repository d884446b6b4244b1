"""`flask --app pizza menu …`: what there is, and what is sold out."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click

from pizza.cli import output
from pizza.menu import dishes
from pizza.web.schemas import documents

_COLUMNS = {"Dish": "name", "Tag": "tag", "Price": "price", "Sold out": "sold_out"}


class _Price(click.ParamType):
    name = "price"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        try:
            return Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is no price", param, ctx)


@click.group()
def menu() -> None:
    """The menu: dishes, and what is sold out."""


@menu.command("list")
@output.as_json
def list_(as_json: bool) -> None:
    """Show the menu, by tag and name.

    \b
    Example:
      flask --app pizza menu list
    """
    with output.open_database() as conn:
        found = dishes.dishes(conn)
    output.print_list(
        [documents.dish(each) for each in found],
        _COLUMNS,
        as_json=as_json,
        nothing="The menu is empty.",
    )


@menu.command()
@click.argument("name")
@click.option("--tag", required=True, help="What a cook must be good at, such as pizza.")
@click.option("--price", type=_Price(), help="For one piece; without it the waiter says it.")
@output.as_json
def add(name: str, tag: str, price: Decimal | None, as_json: bool) -> None:
    """Put a dish on the menu, or change the one of this name.

    \b
    Example:
      flask --app pizza menu add "Pizza Funghi" --tag pizza --price 16.50
    """
    with output.open_database() as conn:
        dish = dishes.add_dish(conn, name, tag, price, actor=output.current_actor())
    output.print_result(f"{dish.name} is on the menu.", documents.dish(dish), as_json=as_json)


@menu.command()
@click.argument("name")
@output.as_json
def remove(name: str, as_json: bool) -> None:
    """Take a dish off the menu.

    \b
    Example:
      flask --app pizza menu remove "Pizza Funghi"
    """
    with output.open_database() as conn:
        dishes.remove_dish(conn, name, actor=output.current_actor())
    output.print_result(f"{name} is off the menu.", {"removed": name}, as_json=as_json)


@menu.command("sold-out")
@click.argument("name")
@output.as_json
def sold_out(name: str, as_json: bool) -> None:
    """A dish is sold out: orders with it are refused.

    \b
    Example:
      flask --app pizza menu sold-out "Tomato Soup"
    """
    _set_sold_out(name, True, as_json)


@menu.command()
@click.argument("name")
@output.as_json
def available(name: str, as_json: bool) -> None:
    """A dish is to be had again.

    \b
    Example:
      flask --app pizza menu available "Tomato Soup"
    """
    _set_sold_out(name, False, as_json)


def _set_sold_out(name: str, sold_out: bool, as_json: bool) -> None:
    with output.open_database() as conn:
        dish = dishes.set_sold_out(conn, name, sold_out, actor=output.current_actor())
    state = "sold out" if dish.sold_out else "to be had"
    output.print_result(f"{dish.name} is {state}.", documents.dish(dish), as_json=as_json)
