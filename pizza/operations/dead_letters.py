"""Dead letters sent again or dropped by staff, with an entry in the audit log.

The entry is in the transaction of the change. Of all letters, which are settled in several
transactions, it is written first: no change is without it.
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


def retry(conn: Connection, id: str, actor: Actor) -> BulkResult:
    """Send one again, as pizza.taskqueue.dead_letters.management.retry."""
    return _one(conn, management.retry, id, actor, _RETRIED)


def drop(conn: Connection, id: str, actor: Actor) -> BulkResult:
    """Drop one for good, as pizza.taskqueue.dead_letters.management.drop."""
    return _one(conn, management.drop, id, actor, _DROPPED)


def retry_all(conn: Connection, actor: Actor) -> BulkResult:
    """Send all again, as pizza.taskqueue.dead_letters.management.retry_all."""
    record_change(conn, actor, _RETRIED, Subject(KIND, "*"))
    return management.retry_all(conn)


def drop_all(conn: Connection, actor: Actor) -> BulkResult:
    """Drop all for good, as pizza.taskqueue.dead_letters.management.drop_all."""
    record_change(conn, actor, _DROPPED, Subject(KIND, "*"))
    return management.drop_all(conn)


def _one(
    conn: Connection, settle: Callable[..., BulkResult], id: str, actor: Actor, action: str
) -> BulkResult:
    with conn.transaction():
        found = management.find(conn, id)
        done = settle(conn, id)
        if found is not None and done.count:
            facts = {"task": found.task, "queue": found.queue}
            record_change(conn, actor, action, Subject(KIND, found.id), before=facts)
    return done
