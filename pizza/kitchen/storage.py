"""The state of the kitchen: whether the intake of orders is paused, and the capacity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_one

_SQL = Queries("restaurant/kitchen")
# Executed by the cook's job.
START_COOKING, FINISH_COOKING = _SQL.start_cooking, _SQL.finish_cooking


@dataclass(frozen=True, slots=True)
class KitchenState:
    """Whether the intake of orders is paused, why, by whom and since when (UTC).

    max_concurrent: the maximum of received and cooking orders, 0 for no limit; max_concurrent_by:
    who has set it by a command, None if an order service set it at its start.
    """

    paused: bool
    reason: str | None
    changed_by: str
    changed_at: datetime
    max_concurrent: int
    max_concurrent_by: str | None


def set_paused(conn: Connection, paused: bool, reason: str | None, by: str) -> KitchenState:
    """Pause or resume the intake of orders; returns the new state."""
    values = {"paused": paused, "reason": reason, "by": by}
    state = fetch_one(conn, KitchenState, _SQL.set_paused, values)
    assert state is not None
    return state


def get_state(conn: Connection) -> KitchenState:
    """The current state."""
    state = fetch_one(conn, KitchenState, _SQL.kitchen_state)
    assert state is not None
    return state
