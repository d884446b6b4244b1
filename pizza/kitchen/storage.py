"""The kitchen in the database: its state, the stations after it, and the orders being worked on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all
from pizza.domain.stations import STATIONS

_KITCHEN = Queries("restaurant/kitchen")
_STATIONS = Queries("restaurant/stations")
_ACTIVE_ORDERS = Queries("restaurant/active_orders").active_orders

# Executed by the jobs of cooks and stations.
START_COOKING, FINISH_COOKING = _KITCHEN.start_cooking, _KITCHEN.finish_cooking
START_STATION, FINISH_STATION = _STATIONS.start_station, _STATIONS.finish_station
SEND_BACK = _STATIONS.send_back

# The number of active orders listed; and how many of the newest are searched for ready ones.
MAX_LISTED = 500
_NEWEST = 2000


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
    return fetch_all(conn, KitchenState, _KITCHEN.set_paused, values)[0]


def get_state(conn: Connection) -> KitchenState:
    """The state of the kitchen."""
    return fetch_all(conn, KitchenState, _KITCHEN.kitchen_state)[0]


def set_stations(conn: Connection, staffed: Collection[str]) -> None:
    """Write the table of stations, and which of them are staffed, in one transaction."""
    with conn.transaction():
        for position, row in enumerate(STATIONS, start=1):
            conn.execute(
                _STATIONS.upsert_station,
                {
                    "name": row.name,
                    "position": position,
                    "queue": row.queue,
                    "task": row.task,
                    "order_types": list(row.order_types),
                    "open": row.name in staffed,
                },
            )
        conn.execute(_STATIONS.close_other_stations, {"names": [row.name for row in STATIONS]})


def list_open_stations(conn: Connection) -> list[str]:
    """The staffed stations, in the order of the pipeline."""
    return [row[0] for row in conn.execute(_STATIONS.list_open_stations).fetchall()]


@dataclass(frozen=True, slots=True)
class ActiveOrder:
    """An order of the kitchen page. items: dicts of name and quantity."""

    order_number: str
    status: str
    stage: str | None
    customer_name: str
    customer_type: str
    order_type: str
    table_number: int | None
    priority: int
    rush: bool
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    promised_at: datetime | None
    estimated_completion: datetime | None
    completed_at: datetime | None
    processed_by: str | None
    version: int
    items: list[dict[str, Any]]


def list_active_orders(conn: Connection) -> list[ActiveOrder]:
    """The active orders, most urgent first; cancelled ones are listed for two minutes."""
    limits = {"limit": MAX_LISTED, "newest": _NEWEST}
    return fetch_all(conn, ActiveOrder, _ACTIVE_ORDERS, limits)
