"""The readiness of the database and the broker for an order service."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import psycopg

from pizza.database.connection import Connection, fetch_first
from pizza.database.migrate import RETIRED, scripts
from pizza.database.queries import Queries

_SQL = Queries("restaurant/health")

CURRENT, MISSING, NEWER, MISMATCH = "current", "missing", "newer", "other functions"


@dataclass(frozen=True, slots=True)
class Readiness:
    """read_only: nothing can be stored; schema: `current`, `missing`, `newer`,
    `other functions` (of another release), or `behind: ` with what has not run.

    paused, cooks: of the kitchen, and how many are on shift; None without tables.
    """

    read_only: bool
    schema: str
    paused: bool | None = None
    cooks: int | None = None

    @property
    def can_store(self) -> bool:
        """Whether an order can be placed."""
        return not self.read_only and self.schema in (CURRENT, NEWER, MISMATCH)


def check_readiness(conn: Connection) -> Readiness:
    """Check in one round trip. Raises DatabaseUnavailable."""
    try:
        read_only, applied, paused, cooks = fetch_first(conn, _SQL.readiness)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
        return Readiness(read_only=False, schema=MISSING)
    return Readiness(read_only, _compare(dict(each.split(" ") for each in applied)), paused, cooks)


def broker_state(conn: Connection) -> str | None:
    """The state of RabbitMQ, as the leading relay sees it: `ok`, `away`, or `blocked` (it accepts
    no messages); None without a report in the last ten seconds. Raises DatabaseUnavailable.
    """
    row = conn.execute(_SQL.broker_state).fetchone()
    return None if row is None else row[0]


@cache
def _known() -> dict[str, str]:
    return {script.name: script.checksum for script in scripts()}


def _compare(applied: dict[str, str]) -> str:
    known = _known()
    applied = {name: checksum for name, checksum in applied.items() if name not in RETIRED}
    if behind := sorted(set(known) - set(applied)):
        return "behind: " + ", ".join(behind)
    if set(applied) - set(known):
        return NEWER
    return CURRENT if applied == known else MISMATCH
