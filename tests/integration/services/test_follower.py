"""The changes of all orders, read while transactions commit in another order than they began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.domain.order import OrderDraft, OrderItem
from pizza.services import orders
from pizza.services.follower import Follower
from pizza.storage import live

TEA = OrderDraft(customer_name="Jo", items=(OrderItem("Tea", 1, Decimal(2)),))


def order(conn: psycopg.Connection) -> str:
    return orders.place_order(conn, TEA, cooking_seconds=10, limit=0).number


class Clients:
    """Connections that place orders, and commit when they are told."""

    def __init__(self, db_url: str) -> None:
        self._db_url = db_url
        self._closing = ExitStack()

    @contextmanager
    def under_way(self) -> Iterator[tuple[BoundedConnection, str]]:
        """An order that is placed, and not committed before the end of the block."""
        with connect(self._db_url, name="client") as conn, conn.transaction():
            yield conn, order(conn)


@pytest.fixture
def clients(db_url: str) -> Clients:
    return Clients(db_url)


def numbers(follower: Follower, conn: psycopg.Connection) -> list[str]:
    return [change.number for change in follower.read(conn)]
