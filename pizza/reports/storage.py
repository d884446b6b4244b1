"""Figures over many orders, and the metrics that the database knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import accumulate

from psycopg.rows import dict_row

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all

_SQL, _METRICS = Queries("restaurant/reports"), Queries("restaurant/metrics")


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of some orders. prepared: how many were ready, late: how many of those more than a
    second after their first estimate. Preparation starts when an order is received.
    """

    orders: int = 0
    cancelled: int = 0
    prepared: int = 0
    avg_preparation_seconds: float | None = None
    p90_preparation_seconds: float | None = None
    late: int = 0

    @property
    def late_share(self) -> float | None:
        """The share of late orders among those that were ready; None if no order was."""
        return self.late / self.prepared if self.prepared else None


@dataclass(frozen=True, slots=True)
class DayReport:
    """A day's orders (UTC): all of them, and by type and by priority."""

    day: date
    all: Figures
    by_type: dict[str, Figures] = field(default_factory=dict)
    by_priority: dict[int, Figures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PriorityWait:
    """How long the newest orders of one priority waited for a cook; `begun` of them did."""

    priority: int
    orders: int
    begun: int
    avg_wait_seconds: float | None
    p90_wait_seconds: float | None


def day_report(conn: Connection, day: date) -> DayReport:
    """The figures of a day (UTC), zeros for one without orders."""
    together, by_type, by_priority = Figures(), {}, {}
    for row in conn.cursor(row_factory=dict_row).execute(_SQL.day_figures, {"day": day}):
        order_type, priority = row.pop("order_type"), row.pop("priority")
        figures = Figures(**row)
        if order_type is not None:
            by_type[order_type] = figures
        elif priority is not None:
            by_priority[priority] = figures
        else:
            together = figures
    return DayReport(
        day,
        together,
        dict(sorted(by_type.items())),
        dict(sorted(by_priority.items(), reverse=True)),
    )


def priority_waits(conn: Connection) -> list[PriorityWait]:
    """The waits by priority over the newest 5,000 orders, highest priority first."""
    return fetch_all(conn, PriorityWait, _SQL.priority_waits)


@dataclass(frozen=True, slots=True)
class Minute:
    """How many orders were placed and how many ready in the minute that began `at` (UTC)."""

    at: datetime
    placed: int
    ready: int


def orders_per_minute(conn: Connection, minutes: int) -> list[Minute]:
    """The last minutes, oldest first, with those in which nothing happened."""
    return fetch_all(conn, Minute, _SQL.orders_per_minute, {"minutes": minutes})


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a metric with these labels."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long something took. buckets: (upper bound in seconds, number up to that bound).

    The last bound is None, for all. seconds: the sum.
    """

    name: str
    labels: dict[str, str]
    seconds: float
    buckets: list[tuple[float | None, float]]


def list_histograms(conn: Connection) -> list[Histogram]:
    """All durations since the first order; the numbers only grow."""
    return [
        Histogram(name, labels, seconds, list(zip(bounds, accumulate(numbers), strict=True)))
        for name, labels, seconds, bounds, numbers in conn.execute(
            _METRICS.list_histograms
        ).fetchall()
    ]


def list_samples(conn: Connection) -> list[Sample]:
    """All samples, in one round trip."""
    return fetch_all(conn, Sample, _METRICS.list_samples)
