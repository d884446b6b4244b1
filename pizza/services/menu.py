"""The menu for those who take orders: known for a moment, so that not every order asks for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import psycopg

from pizza.domain.names import fold
from pizza.storage import menu

_FRESH_SECONDS = 2.0


def tags_by_name(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """The keys of dish names (pizza.domain.names), and their tags."""
    return {fold(dish.name): dish.tag for dish in menu.dishes(conn)}


class MenuCard:
    """`tags_by_name`, at most two seconds old. What is sold out the database checks itself."""

    def __init__(self) -> None:
        self._tags: Mapping[str, str] = {}
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def tags(self, conn: psycopg.Connection[Any]) -> Mapping[str, str]:
        """The menu; one caller reads it anew when it is old, the others take what there is.

        Nobody waits for another, who may be waiting for a database that hangs.
        """
        if time.monotonic() - self._read_at <= _FRESH_SECONDS:
            return self._tags
        reading = self._reading.acquire(blocking=False)
        try:
            if reading or not self._tags:
                self._tags = tags_by_name(conn)
                self._read_at = time.monotonic()
        finally:
            if reading:
                self._reading.release()
        return self._tags
