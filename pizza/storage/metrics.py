"""What the database can tell a monitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from pizza.database.queries import Queries

_ALL = Queries("metrics").all

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, of `name`, at `labels`."""

    name: str
    labels: dict[str, str]
    value: float


def samples(conn: Connection) -> list[Sample]:
    """All there is, in one round trip."""
    return [Sample(*row) for row in conn.execute(_ALL).fetchall()]
