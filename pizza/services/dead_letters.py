"""Dead letters sent again or dropped by staff, with an entry in the audit log.

The entry is in the transaction of the change. Of all letters, which are settled in several
transactions, it is written first: no change is without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from pizza.domain.actor import Actor
from pizza.framework import dead_letters
from pizza.framework.dead_letters import Settled
from pizza.services import audit
from pizza.services.audit import Subject

Connection = psycopg.Connection[Any]

KIND = "dead letter"
_RETRIED, _DROPPED = "dead_letter_retried", "dead_letter_dropped"


def retry(conn: Connection, id: str, actor: Actor) -> Settled:
    """Send one again, as pizza.framework.dead_letters.retry."""
    return _one(conn, dead_letters.retry, id, actor, _RETRIED)


def drop(conn: Connection, id: str, actor: Actor) -> Settled:
    """Drop one for good, as pizza.framework.dead_letters.drop."""
    return _one(conn, dead_letters.drop, id, actor, _DROPPED)


def retry_all(conn: Connection, actor: Actor) -> Settled:
    """Send all again, as pizza.framework.dead_letters.retry_all."""
    audit.record(conn, actor, _RETRIED, Subject(KIND, "*"))
    return dead_letters.retry_all(conn)


def drop_all(conn: Connection, actor: Actor) -> Settled:
    """Drop all for good, as pizza.framework.dead_letters.drop_all."""
    audit.record(conn, actor, _DROPPED, Subject(KIND, "*"))
    return dead_letters.drop_all(conn)


def _one(
    conn: Connection, settle: Callable[..., Settled], id: str, actor: Actor, action: str
) -> Settled:
    with conn.transaction():
        found = dead_letters.find(conn, id)
        done = settle(conn, id)
        if found is not None and done.count:
            facts = {"task": found.task, "queue": found.queue}
            audit.record(conn, actor, action, Subject(KIND, found.id), before=facts)
    return done
