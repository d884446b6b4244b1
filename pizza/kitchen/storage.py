"""The kitchen's own state: whether it takes orders, and how many at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from pizza.database.queries import Queries

_SQL = Queries("restaurant/kitchen")
_SET_PAUSED, _STATE = _SQL.set_paused, _SQL.state


@dataclass(frozen=True, slots=True)
class KitchenState:
    """Whether the intake is stopped, why, who did it and when (UTC).

    max_concurrent: how many orders may be received or cooking at a time, 0 for no limit; and who
        set it by a command, None for an order service at its start.
    """

    paused: bool
    reason: str | None
    changed_by: str
    changed_at: datetime
    max_concurrent: int
    max_concurrent_by: str | None


def set_paused(
    conn: psycopg.Connection[Any], paused: bool, reason: str | None, by: str
) -> KitchenState:
    """Stop the intake of orders, or let it go on."""
    row = conn.execute(_SET_PAUSED, {"paused": paused, "reason": reason, "by": by}).fetchone()
    assert row is not None
    return KitchenState(*row)


def state(conn: psycopg.Connection[Any]) -> KitchenState:
    """How it stands."""
    row = conn.execute(_STATE).fetchone()
    assert row is not None
    return KitchenState(*row)
