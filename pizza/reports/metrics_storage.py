"""The metrics that the database knows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.database.rows import fetch_all

_SQL = Queries("restaurant/metrics")


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
        for name, labels, seconds, bounds, numbers in conn.execute(_SQL.list_histograms).fetchall()
    ]


def list_samples(conn: Connection) -> list[Sample]:
    """All samples, in one round trip."""
    return fetch_all(conn, Sample, _SQL.list_samples)
