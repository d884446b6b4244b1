"""What the views stand on, handed to them when the application is built."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

from pizza.auth.authenticator import Flag
from pizza.web.security.read_audit import ReadAudit

JSON = "application/json"

# All that a request may spend on the database: waiting for a connection, and for its answers.
DATABASE_SECONDS = 1.2
# What it may spend before that, on finding out who asks: both together are less than two seconds.
LOOK_SECONDS = 0.6


class Connections(Protocol):
    """A source of database connections; pizza.database.pool.Pool is one."""

    def connection(self, timeout: float = ...) -> AbstractContextManager[Any]:
        """Lend a connection; raises DatabaseUnavailable within about `timeout` seconds."""


def _unknown() -> str:
    return "unknown"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The database, how the relay does that publishes what it holds, and who reads of people.

    authentication: set once there has been a staff key; the order service's processes share it.
    """

    pool: Connections
    relay_state: Callable[[], str] = _unknown
    authentication: Flag = field(default_factory=Event)
    reads: ReadAudit = field(default_factory=ReadAudit)
