"""Use cases of managers: pause and resume the kitchen, and set its capacity.

Every change writes an entry of the audit log in its transaction.
"""

from __future__ import annotations

import logging
from typing import Any

from pizza.audit import Subject, record_change
from pizza.database.connection import Connection
from pizza.domain.actor import UNNAMED, Actor, check_signature
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.kitchen import station_storage, storage
from pizza.kitchen.storage import KitchenState
from pizza.orders import set_capacity

log = logging.getLogger(__name__)

MAX_CONCURRENT_LIMIT = 1_000_000


def pause_kitchen(
    conn: Connection,
    *,
    reason: str | None = None,
    by: str | None = None,
    actor: Actor = UNNAMED,
) -> KitchenState:
    """Refuse new orders until `resume_kitchen`; placed ones are cooked. Raises InvalidRequest."""
    check_signature(by=by, reason=reason)
    state = _set_paused(conn, True, reason, by, actor)
    _log("kitchen_paused", "Kitchen takes no orders", reason=reason, by=state.changed_by)
    return state


def resume_kitchen(
    conn: Connection, *, by: str | None = None, actor: Actor = UNNAMED
) -> KitchenState:
    """Accept new orders again. Raises InvalidRequest."""
    check_signature(by=by)
    state = _set_paused(conn, False, None, by, actor)
    _log("kitchen_resumed", "Kitchen takes orders", by=state.changed_by)
    return state


def _set_paused(
    conn: Connection, paused: bool, reason: str | None, by: str | None, actor: Actor
) -> KitchenState:
    with conn.transaction():
        before = storage.get_state(conn)
        state = storage.set_paused(conn, paused, reason, actor.signature(by))
        record_change(
            conn, actor.called(by), "kitchen_paused" if paused else "kitchen_resumed",
            Subject("kitchen"), before={"paused": before.paused, "reason": before.reason},
            after={"paused": paused, "reason": reason},
        )  # fmt: skip
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
            conn, actor.called(by), "max_concurrent_set", Subject("kitchen"),
            before={"max_concurrent": before.max_concurrent}, after={"max_concurrent": limit},
        )  # fmt: skip
    state = storage.get_state(conn)
    _log(
        "max_concurrent_set", "The restaurant has another limit of orders at a time",
        max_concurrent=state.max_concurrent, by=state.max_concurrent_by,
    )  # fmt: skip
    return state


def kitchen_state(conn: Connection) -> KitchenState:
    """Whether the kitchen accepts orders, and its capacity."""
    return storage.get_state(conn)


def list_open_stations(conn: Connection) -> list[str]:
    """The staffed stations after the kitchen, in the order of the pipeline."""
    return station_storage.list_open_stations(conn)


def _log(action: str, text: str, **details: Any) -> None:
    log.info(text, extra={"action": action, "details": details})
