"""The menu in the database. A dish is found by the key of its name."""

from __future__ import annotations

from decimal import Decimal

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.domain.errors import DishNotFound
from pizza.domain.menu import Dish
from pizza.domain.names import fold

_SQL = Queries("restaurant/menu")


def list_dishes(conn: Connection) -> list[Dish]:
    """The whole menu, by tag and name."""
    return [Dish(*row) for row in conn.execute(_SQL.list_dishes).fetchall()]


def list_tags(conn: Connection) -> set[str]:
    """All tags that a dish has."""
    return {row[0] for row in conn.execute(_SQL.list_tags).fetchall()}


def upsert_dish(conn: Connection, name: str, tag: str, price: Decimal | None) -> Dish:
    """Insert a dish, or update the one of this name, whose spelling stays; returns it."""
    row = conn.execute(
        _SQL.upsert_dish, {"key": fold(name), "name": name, "tag": tag, "price": price}
    ).fetchone()
    assert row is not None
    return Dish(*row)


def lock_dish(conn: Connection, name: str) -> Dish | None:
    """A dish, locked until the transaction ends; None if there is no dish of this name."""
    row = conn.execute(_SQL.lock_dish, {"key": fold(name)}).fetchone()
    return Dish(*row) if row else None


def set_sold_out(conn: Connection, name: str, sold_out: bool) -> Dish:
    """Set whether a dish is sold out; returns it. Raises DishNotFound."""
    row = conn.execute(_SQL.set_sold_out, {"key": fold(name), "sold_out": sold_out}).fetchone()
    if row is None:
        raise DishNotFound(name)
    return Dish(*row)


def delete_dish(conn: Connection, name: str) -> None:
    """Delete a dish. Raises DishNotFound."""
    if conn.execute(_SQL.delete_dish, {"key": fold(name)}).fetchone() is None:
        raise DishNotFound(name)
