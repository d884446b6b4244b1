"""The staff's verbs, as HTTP and the command line both use them.

Each takes a connection and plain words, checks them, and leaves a row in the log or a name beside
the change. `version` is that of an order its caller has looked at (see pizza.services.moves).
"""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import psycopg

from pizza.domain.errors import CustomerNotFound, FieldError, InvalidRequest, UnknownDish
from pizza.domain.menu import Dish, dish_errors
from pizza.domain.names import may_be_stored, name_error, words_error
from pizza.domain.order import DELIVERY, normal_price
from pizza.domain.status import CANCELLED, CUSTOMER, DELIVERED, OUT_FOR_DELIVERY, READY, RECEIVED
from pizza.domain.status import STAFF as STAFF_ROLE
from pizza.services import moves
from pizza.services.names import fold_names
from pizza.services.orders import checked_number
from pizza.storage import customers, kitchen, menu, orders, stations
from pizza.storage.customers import Customer
from pizza.storage.kitchen import KitchenState

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

STAFF = "staff"
NAME_LENGTH, REASON_LENGTH = 50, 300
MAX_CONCURRENT_LIMIT = 1_000_000


def cancel(
    conn: Connection,
    number: str,
    *,
    reason: str | None = None,
    by: str | None = None,
    version: int | None = None,
    role: str | None = None,
) -> None:
    """Cancel an order: without a reason as its customer may, with one as staff may.

    role: which of the two it is, where that is known. Staff needs a reason for what is not
        `received` any more; a customer may not do that at all.
    Raises InvalidRequest, OrderNotFound, IllegalTransition, ReasonMissing, VersionConflict.
    """
    role = role or (STAFF_ROLE if reason is not None else CUSTOMER)
    who = by if by is not None else STAFF if role == STAFF_ROLE else CUSTOMER
    _check(by=who, reason=reason)
    moves.move(
        conn, checked_number(number), CANCELLED, by=who, role=role, reason=reason, version=version
    )


def deliver(
    conn: Connection, number: str, *, by: str | None = None, version: int | None = None
) -> None:
    """Lead an order a step towards its guest: handed over, or carried out, or brought.

    A dine-in or takeout order is delivered when it is ready; a delivery goes out for delivery
    first, and is delivered the next time. Raises InvalidRequest, OrderNotFound, IllegalTransition,
    VersionConflict.
    """
    _check(by=by)
    now = orders.status(conn, checked_number(number))
    leaves = now.order_type == DELIVERY and now.status == READY
    moves.move(
        conn, number, OUT_FOR_DELIVERY if leaves else DELIVERED, by=by or STAFF, version=version
    )


def send_back(
    conn: Connection,
    number: str,
    *,
    reason: str,
    by: str | None = None,
    version: int | None = None,
) -> None:
    """Send a ready order back to the kitchen, to be cooked again before all others.

    Raises InvalidRequest, OrderNotFound, IllegalTransition, VersionConflict.
    """
    _check(by=by, reason=reason)
    moves.move(
        conn, checked_number(number), RECEIVED, by=by or STAFF, reason=reason, version=version
    )


def set_priority(
    conn: Connection,
    number: str,
    priority: int,
    *,
    reason: str,
    by: str | None = None,
    version: int | None = None,
) -> None:
    """Give an order that waits or cooks another priority.

    Raises InvalidRequest, InvalidOrder, OrderNotFound, IllegalTransition, VersionConflict.
    """
    _check(by=by, reason=reason)
    moves.prioritise(
        conn, checked_number(number), priority, by=by or STAFF, reason=reason, version=version
    )


# --- menu -----------------------------------------------------------------------------------------


def dishes(conn: Connection) -> list[Dish]:
    """The whole menu, by tag and name."""
    return menu.dishes(conn)


def add_dish(conn: Connection, name: str, tag: str, price: Decimal | None = None) -> Dish:
    """Put a dish on the menu, or change the one of this name. Raises InvalidRequest."""
    if errors := dish_errors(name, tag, price):
        raise InvalidRequest(errors)
    fold_names(conn)
    dish = menu.add(conn, name, tag, None if price is None else normal_price(price))
    _log("menu_changed", "Dish is on the menu", dish=dish.name, tag=dish.tag, price=dish.price)
    return dish


def remove_dish(conn: Connection, name: str) -> None:
    """Take a dish off the menu. Raises UnknownDish."""
    menu.remove(conn, _dish_name(conn, name))
    _log("menu_changed", "Dish is off the menu", dish=name)


def set_sold_out(conn: Connection, name: str, sold_out: bool) -> Dish:
    """Say that a dish is sold out, or to be had again. Raises UnknownDish."""
    dish = menu.set_sold_out(conn, _dish_name(conn, name), sold_out)
    _log("menu_changed", f"Dish is {'sold out' if sold_out else 'available'}", dish=dish.name)
    return dish


def _dish_name(conn: Connection, name: str) -> str:
    """The name, for a search by its key. Raises UnknownDish for what no dish can be called."""
    if not may_be_stored(name):
        raise UnknownDish(name[:100])
    fold_names(conn)
    return name


# --- customers ------------------------------------------------------------------------------------


def customer(conn: Connection, name: str) -> Customer:
    """What is known of a customer. Raises CustomerNotFound."""
    if not may_be_stored(name):
        raise CustomerNotFound(name[:100])
    fold_names(conn)
    return customers.find(conn, name)


def set_vip(conn: Connection, name: str, vip: bool, *, by: str | None = None) -> Customer:
    """Say whether a customer, even one who was never here, is a VIP. Raises InvalidRequest."""
    _check(by=by)
    if message := name_error(name):
        raise InvalidRequest([FieldError("name", message)])
    fold_names(conn)
    customers.set_vip(conn, name, vip, by or STAFF)
    _log("customer_changed", f"Customer is {'a' if vip else 'no'} VIP", customer_name=name)
    return customers.find(conn, name)


# --- kitchen --------------------------------------------------------------------------------------


def pause_kitchen(
    conn: Connection, *, reason: str | None = None, by: str | None = None
) -> KitchenState:
    """Take no orders until `resume_kitchen`; what was taken is cooked. Raises InvalidRequest."""
    _check(by=by, reason=reason)
    state = kitchen.set_paused(conn, True, reason, by or STAFF)
    _log("kitchen_paused", "Kitchen takes no orders", reason=reason, by=state.changed_by)
    return state


def resume_kitchen(conn: Connection, *, by: str | None = None) -> KitchenState:
    """Take orders again. Raises InvalidRequest."""
    _check(by=by)
    state = kitchen.set_paused(conn, False, None, by or STAFF)
    _log("kitchen_resumed", "Kitchen takes orders", by=state.changed_by)
    return state


def set_max_concurrent(conn: Connection, limit: int, *, by: str | None = None) -> KitchenState:
    """Set how many orders may be received or cooking at a time, 0 for no limit.

    From then on no order service changes it at its start. Raises InvalidRequest.
    """
    _check(by=by)
    if not 0 <= limit <= MAX_CONCURRENT_LIMIT:
        raise InvalidRequest([FieldError("limit", f"must be from 0 to {MAX_CONCURRENT_LIMIT}")])
    orders.set_capacity(conn, limit, by or STAFF)
    state = kitchen.state(conn)
    _log(
        "max_concurrent_set", "The restaurant has another limit of orders at a time",
        max_concurrent=state.max_concurrent, by=state.max_concurrent_by,
    )  # fmt: skip
    return state


def kitchen_state(conn: Connection) -> KitchenState:
    """Whether the kitchen takes orders, and how many at a time."""
    return kitchen.state(conn)


def open_stations(conn: Connection) -> list[str]:
    """The staffed stations behind the kitchen, in the order of the line."""
    return stations.line(conn)


def _check(*, by: str | None = None, reason: str | None = None) -> None:
    """Raise InvalidRequest for words that no log should have."""
    words = (("by", by, NAME_LENGTH), ("reason", reason, REASON_LENGTH))
    errors = [
        FieldError(name, message)
        for name, text, longest in words
        if text is not None and (message := words_error(text, longest))
    ]
    if errors:
        raise InvalidRequest(errors)


def _log(action: str, text: str, **details: Any) -> None:
    log.info(text, extra={"action": action, "details": details})
