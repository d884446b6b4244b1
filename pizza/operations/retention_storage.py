"""Deletes old history of tracking, subscribers and webhooks.

Orders, their items, their log and their stations are the business's record and stay. Keys of
requests and ids of external messages are kept for a day (pizza.orders.storage,
pizza.taskqueue.worker.inbox).
"""

from __future__ import annotations

from datetime import timedelta

from pizza.database.connection import Connection, fetch_first
from pizza.database.planning import index_plans
from pizza.database.queries import Queries

_SQL = Queries("restaurant/retention")
_OTHERS = (
    _SQL.prune_stuck_orders,
    _SQL.prune_replies,
    _SQL.prune_notifications,
    _SQL.prune_webhook_deliveries,
)

# Rows of each kind in one run: a few milliseconds.
BATCH = 500


def prune_history(conn: Connection, keep: timedelta, limit: int = BATCH) -> int:
    """Delete what is older than `keep`, at most `limit` rows of each kind; returns how many.

    What belongs to a received or cooking order stays. The caller repeats it for the rest.
    """
    values = {"keep": keep, "limit": limit}
    with index_plans(conn):
        (events,) = fetch_first(conn, _SQL.prune_events, values)
        return int(events) + sum(conn.execute(each, values).rowcount for each in _OTHERS)
