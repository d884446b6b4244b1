"""The menu for order services: cached for two seconds, so that not every order reads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pizza.database.connection import Connection
from pizza.domain.names import fold_name
from pizza.menu import storage as menu

_FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Menu:
    """Tags and prices of the dishes, by the keys of their names (pizza.domain.names).

    prices: None for a dish whose price staff says.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Decimal | None] = field(default_factory=dict)


def read_menu(conn: Connection) -> Menu:
    """The menu as it is now."""
    dishes = {fold_name(dish.name): dish for dish in menu.list_dishes(conn)}
    return Menu(
        {key: dish.tag for key, dish in dishes.items()},
        {key: dish.price for key, dish in dishes.items()},
    )


class MenuCache:
    """The menu, at most two seconds old. Any thread.

    The database checks prices and sold-out dishes again when it stores an order.
    """

    def __init__(self) -> None:
        self._menu = Menu()
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def read(self, conn: Connection, *, fresh: bool = False) -> Menu:
        """The menu. When it is too old, one caller reads it again; the others get the old one.

        No caller waits for another, which may wait for a database that hangs.
        fresh: always read it.
        """
        if not fresh and time.monotonic() - self._read_at <= _FRESH_SECONDS:
            return self._menu
        reading = self._reading.acquire(blocking=False)
        try:
            if fresh or reading or not self._menu.tags:
                self._menu = read_menu(conn)
                self._read_at = time.monotonic()
        finally:
            if reading:
                self._reading.release()
        return self._menu
