"""Use cases of managers: pause and resume the kitchen, and set its capacity.

Every change writes an entry of the audit log in its transaction.
"""

from __future__ import annotations

import logging

from pizza.audit import Subject, record_change
from pizza.database.connection import Connection
from pizza.domain.actor import UNNAMED, Actor, check_signature
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.kitchen import storage
from pizza.kitchen.storage import KitchenState
from pizza.orders import set_capacity
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

MAX_CONCURRENT_LIMIT = 1_000_000


def pause_kitchen(
    conn: Connection, *, reason: str | None = None, by: str | None = None, actor: Actor = UNNAMED
) -> KitchenState:
    """Refuse new orders until `resume_kitchen`; placed ones are cooked. Raises InvalidRequest."""
    check_signature(by=by, reason=reason)
    state = _set_paused(conn, True, reason, by, actor)
    details = {"reason": reason, "by": state.changed_by}
    log_action(log.info, "kitchen_paused", "Kitchen takes no orders", details)
    return state


def resume_kitchen(
    conn: Connection, *, by: str | None = None, actor: Actor = UNNAMED
) -> KitchenState:
    """Accept new orders again. Raises InvalidRequest."""
    check_signature(by=by)
    state = _set_paused(conn, False, None, by, actor)
    details = {"by": state.changed_by}
    log_action(log.info, "kitchen_resumed", "Kitchen takes orders", details)
    return state


def _set_paused(
    conn: Connection, paused: bool, reason: str | None, by: str | None, actor: Actor
) -> KitchenState:
    with conn.transaction():
        before = storage.get_state(conn)
        state = storage.set_paused(conn, paused, reason, actor.signature(by))
        record_change(
            conn,
            actor.called(by),
            "kitchen_paused" if paused else "kitchen_resumed",
            Subject("kitchen"),
            before={"paused": before.paused, "reason": before.reason},
            after={"paused": paused, "reason": reason},
        )
    return state


def set_max_concurrent(
    conn: Connection, limit: int, *, by: str | None = None, actor: Actor = UNNAMED
) -> KitchenState:
    """Set the maximum of received and cooking orders, 0 for no limit.

    After that no order service changes it at its start. Raises InvalidRequest.
    """
    check_signature(by=by)
    if not 0 <= limit <= MAX_CONCURRENT_LIMIT:
        raise InvalidRequest([FieldError("limit", f"must be from 0 to {MAX_CONCURRENT_LIMIT}")])
    with conn.transaction():
        before = storage.get_state(conn)
        set_capacity(conn, limit, actor.signature(by))
        record_change(
            conn,
            actor.called(by),
            "max_concurrent_set",
            Subject("kitchen"),
            before={"max_concurrent": before.max_concurrent},
            after={"max_concurrent": limit},
        )
    state = storage.get_state(conn)
    text = "The restaurant has another limit of orders at a time"
    details = {"max_concurrent": state.max_concurrent, "by": state.max_concurrent_by}
    log_action(log.info, "max_concurrent_set", text, details)
    return state
