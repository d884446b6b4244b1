"""Changes of the menu by staff, each with an entry of the audit log in its transaction."""

from __future__ import annotations

import dataclasses
import logging
from decimal import Decimal
from typing import Any

from pizza.audit import Subject, record_change
from pizza.database.connection import Connection
from pizza.domain.actor import UNNAMED, Actor
from pizza.domain.errors import DishNotFound, InvalidRequest
from pizza.domain.menu import Dish, dish_errors
from pizza.domain.names import is_storable
from pizza.domain.order import normalize_price
from pizza.menu import storage as menu
from pizza.operations import fold_names
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)


def add_dish(
    conn: Connection,
    name: str,
    tag: str,
    price: Decimal | None = None,
    *,
    actor: Actor = UNNAMED,
) -> Dish:
    """Add a dish to the menu, or change the one of this name. Raises InvalidRequest."""
    if errors := list(dish_errors(name, tag, price)):
        raise InvalidRequest(errors)
    fold_names(conn)
    with conn.transaction():
        before = menu.lock_dish(conn, name)
        dish = menu.upsert_dish(conn, name, tag, None if price is None else normalize_price(price))
        _audit_dish(conn, actor, "dish_changed" if before else "dish_added", before, dish)
    _log("menu_changed", "Dish is on the menu", dish=dish.name, tag=dish.tag, price=dish.price)
    return dish


def remove_dish(conn: Connection, name: str, *, actor: Actor = UNNAMED) -> None:
    """Remove a dish from the menu. Raises DishNotFound."""
    name = _dish_name(conn, name)
    with conn.transaction():
        before = menu.lock_dish(conn, name)
        menu.delete_dish(conn, name)
        _audit_dish(conn, actor, "dish_removed", before, None)
    _log("menu_changed", "Dish is off the menu", dish=name)


def set_sold_out(conn: Connection, name: str, sold_out: bool, *, actor: Actor = UNNAMED) -> Dish:
    """Mark a dish as sold out or available. Raises DishNotFound."""
    name = _dish_name(conn, name)
    with conn.transaction():
        before = menu.lock_dish(conn, name)
        dish = menu.set_sold_out(conn, name, sold_out)
        _audit_dish(conn, actor, "dish_changed", before, dish)
    _log("menu_changed", f"Dish is {'sold out' if sold_out else 'available'}", dish=dish.name)
    return dish


def _audit_dish(
    conn: Connection, actor: Actor, action: str, before: Dish | None, after: Dish | None
) -> None:
    name = next(dish.name for dish in (before, after) if dish is not None)
    facts = [None if dish is None else dataclasses.asdict(dish) for dish in (before, after)]
    record_change(conn, actor, action, Subject("dish", name), before=facts[0], after=facts[1])


def _dish_name(conn: Connection, name: str) -> str:
    """The name, after missing keys were computed. Raises DishNotFound for an invalid name."""
    if not is_storable(name):
        raise DishNotFound(name[:100])
    fold_names(conn)
    return name


def _log(action: str, text: str, **details: Any) -> None:
    log_action(log.info, action, text, details)
