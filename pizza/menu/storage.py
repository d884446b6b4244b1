"""The menu in the database: what there is, what each dish asks of a cook, what is sold out."""

from __future__ import annotations

from decimal import Decimal

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.domain.errors import DishNotFound
from pizza.domain.menu import Dish
from pizza.domain.names import fold

_SQL = Queries("restaurant/menu")
_ALL, _TAGS, _ADD, _SET_SOLD_OUT, _REMOVE = (
    _SQL.all, _SQL.tags, _SQL.add, _SQL.set_sold_out, _SQL.remove,
)  # fmt: skip


def dishes(conn: Connection) -> list[Dish]:
    """The whole menu, by tag and name."""
    return [Dish(*row) for row in conn.execute(_ALL).fetchall()]


def tags(conn: Connection) -> set[str]:
    """All tags that a dish has."""
    return {row[0] for row in conn.execute(_TAGS).fetchall()}


def add(conn: Connection, name: str, tag: str, price: Decimal | None) -> Dish:
    """Put a dish on the menu, or change the one of this name; returns it as it is now.

    The name shown stays as it was first typed.
    """
    row = conn.execute(
        _ADD, {"key": fold(name), "name": name, "tag": tag, "price": price}
    ).fetchone()
    assert row is not None
    return Dish(*row)


def lock(conn: Connection, name: str) -> Dish | None:
    """A dish, locked until the transaction ends; None when there is none of this name."""
    row = conn.execute(_SQL.lock, {"key": fold(name)}).fetchone()
    return Dish(*row) if row else None


def set_sold_out(conn: Connection, name: str, sold_out: bool) -> Dish:
    """Mark a dish as sold out, or as to be had again. Raises DishNotFound."""
    row = conn.execute(_SET_SOLD_OUT, {"key": fold(name), "sold_out": sold_out}).fetchone()
    if row is None:
        raise DishNotFound(name)
    return Dish(*row)


def remove(conn: Connection, name: str) -> None:
    """Take a dish off the menu. Raises DishNotFound."""
    if conn.execute(_REMOVE, {"key": fold(name)}).fetchone() is None:
        raise DishNotFound(name)
