"""The rows that authentication reads: the signing secret, and the valid keys and sessions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from pizza.database.connection import Connection
from pizza.database.planning import index_plans
from pizza.database.queries import Queries

_SQL = Queries("restaurant/auth")

# Rows that one run reads.
SLICE = 2000


@dataclass(frozen=True, slots=True)
class ActiveKey:
    """A valid key. left: seconds until it expires, None if it does not."""

    id: str
    name: str
    role: str
    digest: bytes
    left: float | None = None


@dataclass(frozen=True, slots=True)
class ActiveSession:
    """An open session. id: SHA-256 of its cookie in hexadecimal; left: seconds until it ends."""

    id: str
    key_id: str
    left: float


@dataclass(frozen=True, slots=True)
class AuthState:
    """signing_secret: the installation's; has_keys: there is or was a key in the table.

    keys, sessions: the valid ones, sessions by id. at: the time of the query by time.monotonic();
    the seconds `left` count from it.
    """

    signing_secret: bytes
    has_keys: bool
    keys: Sequence[ActiveKey]
    sessions: Mapping[str, ActiveSession]
    at: float


def load_auth_state(conn: Connection) -> AuthState:
    """Read the state in one round trip."""
    at = time.monotonic()
    row = conn.execute(_SQL.auth_state).fetchone()
    assert row is not None
    secret, has_keys, keys, sessions = row
    return AuthState(
        bytes(secret),
        has_keys,
        tuple(
            ActiveKey(id, name, role, bytes.fromhex(digest), left)
            for id, name, role, digest, left in keys
        ),
        {each[0]: ActiveSession(*each) for each in sessions},
        at,
    )


def find_order_id(conn: Connection, number: str) -> UUID | None:
    """The id of the order with this number; None if no order has it."""
    row = conn.execute(_SQL.order_id, {"number": number}).fetchone()
    return None if row is None else row[0]


class ClientRetention:
    """Deletes the clients (`client_order`) of orders that have left the kitchen.

    A periodic task; each run handles one slice of the table.
    """

    def __init__(self, limit: int = SLICE) -> None:
        self._limit = limit
        self._after = ""

    def run(self, conn: Connection) -> None:
        """Handle the next slice, in the caller's transaction; after the last one the first."""
        values = {"after": self._after, "limit": self._limit}
        with index_plans(conn):
            row = conn.execute(_SQL.prune_client_orders, values).fetchone()
        assert row is not None
        self._after = row[0] or ""
