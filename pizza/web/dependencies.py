"""What the views depend on, passed to them when the application is built."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

from pizza.auth.auth_cache import Flag
from pizza.web.security.read_audit import ReadAudit

JSON = "application/json"

# Time limit of a request for the database: for a connection and all statements together.
DATABASE_SECONDS = 1.2
# Time limit for authentication, which comes before that: less than two seconds in all.
AUTHENTICATION_SECONDS = 0.6


class Connections(Protocol):
    """A source of database connections; pizza.database.pool.Pool is one."""

    def connection(self, timeout: float = ...) -> AbstractContextManager[Any]:
        """Lend a connection. Raises DatabaseUnavailable within about `timeout` seconds."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The database, the state of the relay, and the recorder of reads of personal data.

    authentication: set once there was a staff key; shared by all processes of the order service.
    """

    pool: Connections
    relay_state: Callable[[], str] = lambda: "unknown"
    authentication: Flag = field(default_factory=Event)
    read_audit: ReadAudit = field(default_factory=ReadAudit)

    def connection(self) -> AbstractContextManager[Any]:
        """Lend a connection for one request. Raises DatabaseUnavailable."""
        return self.pool.connection(timeout=DATABASE_SECONDS)
