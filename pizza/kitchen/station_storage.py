"""The pipeline of stations in the database, from which SQL functions read it."""

from __future__ import annotations

from collections.abc import Collection

from pizza.database.connection import Connection
from pizza.database.queries import Queries
from pizza.domain.stations import STATIONS

_SQL = Queries("restaurant/stations")
# Executed by the jobs of stations.
START_STATION, FINISH_STATION, SEND_BACK = _SQL.start_station, _SQL.finish_station, _SQL.send_back


def set_stations(conn: Connection, staffed: Collection[str]) -> None:
    """Write the table of stations, and which of them are staffed, in one transaction."""
    with conn.transaction():
        for position, row in enumerate(STATIONS, start=1):
            conn.execute(
                _SQL.upsert_station,
                {
                    "name": row.name,
                    "position": position,
                    "queue": row.queue,
                    "task": row.task,
                    "order_types": list(row.order_types),
                    "open": row.name in staffed,
                },
            )
        conn.execute(_SQL.close_other_stations, {"names": [row.name for row in STATIONS]})


def list_open_stations(conn: Connection) -> list[str]:
    """The staffed stations, in the order of the pipeline."""
    return [row[0] for row in conn.execute(_SQL.list_open_stations).fetchall()]
