"""Updates the estimated completion of waiting orders; periodic tasks."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from pizza.database.connection import Connection
from pizza.database.planning import index_plans
from pizza.database.queries import Queries
from pizza.domain.estimate import Cook, QueuedOrder, cooking_seconds, estimate_completions
from pizza.topology import KITCHEN_QUEUE, TYPED_QUEUES

log = logging.getLogger(__name__)

_SQL = Queries("restaurant/orders")
_WORKERS = Queries("restaurant/workers")
_WAITING, _COOKING, _ESTIMATE, _MEASURE_PACE, _PACE, _COUNT, _ONLINE_COOKS = (
    _SQL.waiting, _SQL.cooking, _SQL.estimate, _SQL.measure_pace, _SQL.pace, _SQL.count_waiting,
    _WORKERS.online_cooks,
)  # fmt: skip

# Orders beyond this number get no estimate: it would be rough, and the query slow.
_MAX_ESTIMATED = 300
_QUEUES = [KITCHEN_QUEUE, *TYPED_QUEUES.values()]
_NEWEST = 500
# Estimates that have moved by less are not written.
_MIN_SHIFT = timedelta(seconds=1)


def refresh_estimates(conn: Connection) -> int:
    """Update the estimates of the first waiting orders; returns how many have changed.

    In the caller's transaction. Skips locked rows; they are updated by a later run.
    """
    with index_plans(conn):
        return _refresh(conn)


def _refresh(conn: Connection) -> int:
    conn.execute(_COUNT, {"queues": _QUEUES})
    rows = conn.execute(_WAITING, {"queues": _QUEUES, "limit": _MAX_ESTIMATED}).fetchall()
    if not rows:
        return 0
    pace = {kind: float(seconds) for kind, seconds in conn.execute(_PACE).fetchall()}
    queue = [
        QueuedOrder(number, kind, pace.get(kind, cooking_seconds(kind)), frozenset(needs or ("?",)))
        for number, kind, needs, _, _ in rows
    ]
    ready_in = estimate_completions(_online_cooks(conn), queue)
    now = datetime.now(UTC)
    moved: dict[str, datetime] = {}
    for number, _, _, _, before in rows:
        seconds = ready_in[number]
        if seconds is None:
            continue
        moment = now + timedelta(seconds=seconds)
        if before is None or abs(moment - before) > _MIN_SHIFT:
            moved[number] = moment
    if not moved:
        return 0
    changes = {"numbers": list(moved), "moments": list(moved.values())}
    return conn.execute(_ESTIMATE, changes).rowcount


def measure_cooking_times(conn: Connection) -> None:
    """Store the average cooking times of the latest orders. Skips locked rows."""
    with index_plans(conn):
        conn.execute(_MEASURE_PACE, {"newest": _NEWEST})


def _online_cooks(conn: Connection) -> list[Cook]:
    busy: dict[str, float] = defaultdict(float)
    for name, left in conn.execute(_COOKING, {"queues": _QUEUES}).fetchall():
        busy[name] = max(0.0, left or 0.0)
    return [
        Cook(
            frozenset(order_types) if order_types else None,
            frozenset(tags) if tags else None,
            busy[name],
        )
        for name, order_types, tags in conn.execute(_ONLINE_COOKS).fetchall()
    ]
