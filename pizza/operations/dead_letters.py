"""Dead letters sent again or dropped by staff, with an entry in the audit log.

The entry is in the transaction of the change. All of them are changed in several transactions; then
the entry is written first, so that no change is without it.
"""

from __future__ import annotations

from collections.abc import Callable

from pizza.audit import Subject, record_change
from pizza.database.connection import Connection
from pizza.domain.actor import Actor
from pizza.taskqueue.dead_letters import management
from pizza.taskqueue.dead_letters.management import BulkResult

KIND = "dead letter"
_RETRIED, _DROPPED = "dead_letter_retried", "dead_letter_dropped"


def retry(conn: Connection, id: str | None, actor: Actor) -> BulkResult:
    """Send one again, or all (None), as pizza.taskqueue.dead_letters.management.retry."""
    if id is not None:
        return _apply(conn, management.retry, id, actor, _RETRIED)
    record_change(conn, actor, _RETRIED, Subject(KIND, "*"))
    return management.retry_all(conn)


def drop(conn: Connection, id: str | None, actor: Actor) -> BulkResult:
    """Drop one for good, or all (None), as pizza.taskqueue.dead_letters.management.drop."""
    if id is not None:
        return _apply(conn, management.drop, id, actor, _DROPPED)
    record_change(conn, actor, _DROPPED, Subject(KIND, "*"))
    return management.drop_all(conn)


def _apply(
    conn: Connection, change: Callable[..., BulkResult], id: str, actor: Actor, action: str
) -> BulkResult:
    with conn.transaction():
        found = management.find(conn, id)
        done = change(conn, id)
        if found is not None and done.count:
            facts = {"task": found.task, "queue": found.queue}
            record_change(conn, actor, action, Subject(KIND, found.id), before=facts)
    return done
