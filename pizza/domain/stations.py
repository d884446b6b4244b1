"""The stations after the kitchen as a table, in the order in which an order passes them.

To add a station, add a row here and a task of the row's name in pizza/kitchen/stations.py
(docs/stations.md walks through it). Which stations a restaurant staffs is the setting STATIONS.
"""

from __future__ import annotations

from dataclasses import dataclass

from pizza.domain.order import DELIVERY, ORDER_TYPES, TAKEOUT

KITCHEN, HANDOVER = "kitchen", "handover"
"""The first stage of each order, and the last: it waits there for its customer."""


@dataclass(frozen=True, slots=True)
class Station:
    """One station. worker_type: of its workers. order_types: of the orders that pass it."""

    name: str
    queue: str
    task: str
    worker_type: str
    order_types: tuple[str, ...] = ORDER_TYPES


STATIONS = (
    Station("quality", "quality_queue", "check_quality", "quality"),
    Station("packaging", "packaging_queue", "package_order", "packager", (TAKEOUT, DELIVERY)),
    Station("courier", "delivery_queue", "deliver_order", "courier", (DELIVERY,)),
)
STATION_NAMES = tuple(station.name for station in STATIONS)


def station(name: str) -> Station:
    """The row of this name. Raises KeyError."""
    return {row.name: row for row in STATIONS}[name]
