"""Updates the estimated completion of waiting orders; periodic tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pizza.database.connection import Connection
from pizza.database.planning import index_plans
from pizza.domain.estimate import QueuedOrder, cooking_seconds, estimate_completions
from pizza.domain.menu import UNKNOWN
from pizza.kitchen import estimate_storage as storage

# Orders beyond this number get no estimate: it would be rough, and the query slow.
_MAX_ESTIMATED = 300
_NEWEST = 500
# Estimates that have shifted by less are not written.
_MIN_SHIFT = timedelta(seconds=1)


def refresh_estimates(conn: Connection) -> int:
    """Update the estimates of the first waiting orders; returns how many have changed.

    In the caller's transaction. Skips locked rows, which a later run updates.
    """
    with index_plans(conn):
        storage.count_waiting(conn)
        waiting = storage.list_waiting(conn, _MAX_ESTIMATED)
        if not waiting:
            return 0
        times = storage.list_cooking_times(conn)
        queue = [
            QueuedOrder(
                each.number,
                each.order_type,
                times.get(each.order_type, cooking_seconds(each.order_type)),
                frozenset(each.required_tags or (UNKNOWN,)),
            )
            for each in waiting
        ]
        ready_in = estimate_completions(storage.list_online_cooks(conn), queue)
        now = datetime.now(UTC)
        shifted: dict[str, datetime] = {}
        for each in waiting:
            seconds = ready_in[each.number]
            if seconds is None:
                continue
            moment, before = now + timedelta(seconds=seconds), each.estimated_completion
            if before is None or abs(moment - before) > _MIN_SHIFT:
                shifted[each.number] = moment
        return storage.set_estimates(conn, shifted) if shifted else 0


def measure_cooking_times(conn: Connection) -> None:
    """Store the average cooking times of the latest orders. Skips locked rows."""
    with index_plans(conn):
        storage.measure_cooking_times(conn, _NEWEST)
