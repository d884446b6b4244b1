"""Tags: finds the best waiting message all of whose required tags a worker has."""

from __future__ import annotations

from collections.abc import Sequence

from pizza.database.connection import translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.db_session import ReconnectingConnection
from pizza.taskqueue.errors import Released
from pizza.taskqueue.message import Delivery

_FIND_MATCH = Queries("taskqueue/messages").find_match


def find_match(
    db: ReconnectingConnection, queues: Sequence[str], worker_tags: Sequence[str]
) -> Delivery | None:
    """The best message in `queues` that a worker with these tags may process.

    None if no message matches, if PostgreSQL is unavailable, or if the worker has to stop.
    """
    try:
        with translate_errors():
            values = {"queues": list(queues), "skills": list(worker_tags)}
            row = db.connection().execute(_FIND_MATCH, values).fetchone()
    except DatabaseUnavailable as error:
        db.invalidate(error)
        return None
    except Released:
        return None
    return Delivery.from_row(row) if row is not None else None
