"""Choosing by skill: the best waiting message that needs nothing but what a worker is good at."""

from __future__ import annotations

from collections.abc import Sequence

from pizza.database.connection import translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.taskqueue.db_session import Line
from pizza.taskqueue.errors import Released
from pizza.taskqueue.message import Delivery

_MATCH = Queries("taskqueue/messages").match


def match(line: Line, queues: Sequence[str], skills: Sequence[str]) -> Delivery | None:
    """The message in place of a delivery; None when none waits, or the worker stops meanwhile."""
    try:
        with translate_errors():
            row = (
                line.connection()
                .execute(_MATCH, {"queues": list(queues), "skills": list(skills)})
                .fetchone()
            )
    except DatabaseUnavailable as error:
        line.lost(error)
        return None
    except Released:
        return None
    return Delivery.from_row(row) if row is not None else None
