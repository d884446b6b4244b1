"""The menu in the database. A dish is found by the key of its name."""

from __future__ import annotations

from decimal import Decimal

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all, fetch_one
from pizza.domain.errors import DishNotFound
from pizza.domain.menu import Dish
from pizza.domain.names import fold_name

_SQL = Queries("restaurant/menu")


def list_dishes(conn: Connection) -> list[Dish]:
    """The whole menu, by tag and name."""
    return fetch_all(conn, Dish, _SQL.list_dishes)


def list_tags(conn: Connection) -> set[str]:
    """All tags that a dish has."""
    return {row[0] for row in conn.execute(_SQL.list_tags).fetchall()}


def upsert_dish(conn: Connection, name: str, tag: str, price: Decimal | None) -> Dish:
    """Insert a dish, or update the one of this name, whose spelling stays; returns it."""
    values = {"key": fold_name(name), "name": name, "tag": tag, "price": price}
    return fetch_all(conn, Dish, _SQL.upsert_dish, values)[0]


def lock_dish(conn: Connection, name: str) -> Dish | None:
    """A dish, locked until the transaction ends; None if there is no dish of this name."""
    return fetch_one(conn, Dish, _SQL.lock_dish, {"key": fold_name(name)})


def set_sold_out(conn: Connection, name: str, sold_out: bool) -> Dish:
    """Set whether a dish is sold out; returns it. Raises DishNotFound."""
    values = {"key": fold_name(name), "sold_out": sold_out}
    dish = fetch_one(conn, Dish, _SQL.set_sold_out, values)
    if dish is None:
        raise DishNotFound(name)
    return dish


def delete_dish(conn: Connection, name: str) -> None:
    """Delete a dish. Raises DishNotFound."""
    if conn.execute(_SQL.delete_dish, {"key": fold_name(name)}).fetchone() is None:
        raise DishNotFound(name)
