"""What is kept for a while only: what tracking, subscribers and webhooks heard, and when.

Orders, their items, their log and their stations are the business's record and stay. Keys of
requests and ids of external messages are kept for a day (pizza.orders.storage,
pizza.taskqueue.worker.inbox).
"""

from __future__ import annotations

from datetime import timedelta

from pizza.database.connection import Connection
from pizza.database.planning import index_plans
from pizza.database.queries import Queries

_SQL = Queries("restaurant/retention")
_EVENTS, _STUCK, _ANSWERS, _DELIVERIES, _WEBHOOKS = (
    _SQL.forget_events, _SQL.forget_stuck, _SQL.forget_answers, _SQL.forget_deliveries,
    _SQL.forget_webhooks,
)  # fmt: skip

# Of each kind in one turn: a few milliseconds' work.
BATCH = 500


def prune_history(conn: Connection, keep: timedelta, limit: int = BATCH) -> int:
    """Drop what is older than `keep`, at most `limit` rows of each kind; returns how many.

    What belongs to an order that waits or cooks stays. The caller comes again for the rest.
    """
    values = {"keep": keep, "limit": limit}
    with index_plans(conn):
        row = conn.execute(_EVENTS, values).fetchone()
        assert row is not None
        gone: int = row[0]
        others = (_STUCK, _ANSWERS, _DELIVERIES, _WEBHOOKS)
        return gone + sum(conn.execute(each, values).rowcount for each in others)
