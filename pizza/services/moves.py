"""Moving an order on by hand: by staff, by a courier, by a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from pizza.database.queries import Queries
from pizza.domain.errors import IllegalTransition, OrderNotFound, ReasonMissing
from pizza.domain.status import ACTIVE, allowed, transition

_SQL = Queries("moves")
_FIND, _MOVE = _SQL.find, _SQL.move


@dataclass(frozen=True, slots=True)
class Moved:
    """The order after its move."""

    number: str
    status: str
    version: int


def move(
    conn: psycopg.Connection[Any],
    number: str,
    to: str,
    *,
    by: str,
    role: str,
    reason: str | None = None,
    version: int | None = None,
) -> Moved:
    """Lead an order into another status, in the caller's transaction.

    role: as whom (domain.status); version: the one that the order has to have (None: any).
    Raises OrderNotFound, IllegalTransition, ReasonMissing.
    """
    with conn.transaction():
        row = conn.execute(_FIND, {"number": number}).fetchone()
        if row is None:
            raise OrderNotFound(number)
        status, order_type, found = row
        if version is not None and version != found:
            raise IllegalTransition(status, to, allowed(status, order_type, role))
        arrow = transition(status, to, order_type, role)
        if arrow.needs_reason and not reason:
            raise ReasonMissing(status, to)
        values = {
            "number": number, "to": to, "old": status, "by": by, "reason": reason,
            "place": status in ACTIVE and to not in ACTIVE,
        }  # fmt: skip
        after = conn.execute(_MOVE, values).fetchone()
        assert after is not None
        return Moved(number, to, after[0])
