"""What the database can tell a monitor."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from pizza.database.connection import Connection
from pizza.database.queries import Queries

_SQL = Queries("restaurant/metrics")
_ALL, _TIMES = _SQL.all, _SQL.times


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, of `name`, at `labels`."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took: `buckets` are (upper bound in seconds, how many up to that).

    The last bound is None: all of them. seconds: all together.
    """

    name: str
    labels: dict[str, str]
    seconds: float
    buckets: list[tuple[float | None, float]]


def times(conn: Connection) -> list[Times]:
    """All that is timed, since the first order; it only grows."""
    return [
        Times(name, labels, seconds, list(zip(bounds, accumulate(numbers), strict=True)))
        for name, labels, seconds, bounds, numbers in conn.execute(_TIMES).fetchall()
    ]


def samples(conn: Connection) -> list[Sample]:
    """All there is, in one round trip."""
    return [Sample(*row) for row in conn.execute(_ALL).fetchall()]
