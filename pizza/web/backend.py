"""What the views stand on, handed to them when the application is built."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

JSON = "application/json"

# Twice this (waiting for a connection, then for the answer) is the longest a client waits.
DATABASE_SECONDS = 0.9


class Connections(Protocol):
    """A source of database connections; pizza.database.pool.Pool is one."""

    def connection(self, timeout: float = ...) -> AbstractContextManager[Any]:
        """Lend a connection; raises DatabaseUnavailable within about twice `timeout` seconds."""


def _unknown() -> str:
    return "unknown"


@dataclass(frozen=True, slots=True)
class Backend:
    """The database, and how the relay does that publishes what it holds."""

    pool: Connections
    relay_state: Callable[[], str] = _unknown
