"""Customers: what staff has stored about them, and figures of their orders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_one
from pizza.domain.errors import CustomerNotFound
from pizza.domain.names import fold_name

_SQL = Queries("restaurant/customers")


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer; vip_set_by, vip_changed_at: None if staff has stored nothing.

    spent: what the orders that were not cancelled cost.
    """

    name: str
    vip: bool
    vip_set_by: str | None
    vip_changed_at: datetime | None
    orders: int
    cancelled: int
    spent: Decimal
    first_order_at: datetime | None
    last_order_at: datetime | None

    @property
    def repeat(self) -> bool:
        """Whether the next order is one of a repeat customer."""
        return self.orders > self.cancelled


def find_customer(conn: Connection, name: str) -> Customer:
    """A customer by name; case, spaces and Unicode form do not matter. Raises CustomerNotFound."""
    customer = fetch_one(conn, Customer, _SQL.find_customer, {"key": fold_name(name)})
    if customer is None:
        raise CustomerNotFound(name)
    return customer


def lock_vip(conn: Connection, name: str) -> bool:
    """Whether a customer is a VIP; locks the row, if there is one, until the transaction ends."""
    row = conn.execute(_SQL.lock_vip, {"key": fold_name(name)}).fetchone()
    return row is not None and bool(row[0])


def set_vip(conn: Connection, name: str, vip: bool, by: str) -> None:
    """Set whether a customer is a VIP, also for one without an order."""
    conn.execute(_SQL.set_vip, {"key": fold_name(name), "name": name, "vip": vip, "by": by})
