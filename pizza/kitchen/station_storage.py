"""The line of stations in the database, where the statements that move an order read it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import psycopg

from pizza.database.queries import Queries
from pizza.domain.stations import STATIONS

_SQL = Queries("restaurant/stations")
_SET_LINE, _CLOSE_OTHERS, _LINE = _SQL.set_line, _SQL.close_others, _SQL.line


def set_line(conn: psycopg.Connection[Any], staffed: Collection[str]) -> None:
    """Write the program's table of stations, and which of them are staffed; all in one commit."""
    with conn.transaction():
        for position, row in enumerate(STATIONS, start=1):
            conn.execute(
                _SET_LINE,
                {
                    "name": row.name,
                    "position": position,
                    "queue": row.queue,
                    "task": row.task,
                    "order_types": list(row.order_types),
                    "open": row.name in staffed,
                },
            )
        conn.execute(_CLOSE_OTHERS, {"names": [row.name for row in STATIONS]})


def line(conn: psycopg.Connection[Any]) -> list[str]:
    """The staffed stations, in the order of the line."""
    return [row[0] for row in conn.execute(_LINE).fetchall()]
