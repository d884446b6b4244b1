"""The staff's verbs, as HTTP and the command line both use them.

Each takes a connection and plain words, and checks them. An order's history names who changed it
(the actor's key; `by` is a note next to it); everything else gets an entry in the audit log, in the
transaction of the change. `version` is that of an order its caller has looked at (see
pizza.services.moves).
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from pizza.domain.actor import UNNAMED, Actor
from pizza.domain.errors import CustomerNotFound, FieldError, InvalidRequest
from pizza.domain.names import may_be_stored, name_error, words_error
from pizza.domain.order import DELIVERY
from pizza.domain.status import CANCELLED, CUSTOMER, DELIVERED, OUT_FOR_DELIVERY, READY, RECEIVED
from pizza.domain.status import STAFF as STAFF_ROLE
from pizza.services import audit, moves
from pizza.services.audit import Subject
from pizza.services.dishes import add_dish, dishes, remove_dish, set_sold_out
from pizza.services.names import fold_names
from pizza.services.orders import checked_number
from pizza.storage import customers, kitchen, orders, stations
from pizza.storage.customers import Customer
from pizza.storage.kitchen import KitchenState

__all__ = ["add_dish", "dishes", "remove_dish", "set_sold_out"]

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

STAFF = "staff"
NAME_LENGTH, REASON_LENGTH = 50, 300
MAX_CONCURRENT_LIMIT = 1_000_000


def cancel(
    conn: Connection,
    number: str,
    *,
    reason: str | None = None,
    by: str | None = None,
    version: int | None = None,
    role: str | None = None,
    actor: Actor = UNNAMED,
) -> None:
    """Cancel an order: without a reason as its customer may, with one as staff may.

    role: which of the two it is, where that is known. Staff needs a reason for what is not
        `received` any more; a customer may not do that at all.
    Raises InvalidRequest, OrderNotFound, IllegalTransition, ReasonMissing, VersionConflict.
    """
    role = role or (STAFF_ROLE if reason is not None else CUSTOMER)
    _check(by=by, reason=reason)
    is_staff = role == STAFF_ROLE or actor.key_id is not None
    who = actor.signature(by) if is_staff else by or CUSTOMER
    moves.move(
        conn, checked_number(number), CANCELLED, by=who, role=role, reason=reason, version=version
    )


def deliver(
    conn: Connection,
    number: str,
    *,
    by: str | None = None,
    version: int | None = None,
    actor: Actor = UNNAMED,
) -> None:
    """Lead an order a step towards its guest: handed over, or carried out, or brought.

    A dine-in or takeout order is delivered when it is ready; a delivery goes out for delivery
    first, and is delivered the next time. Raises InvalidRequest, OrderNotFound, IllegalTransition,
    VersionConflict.
    """
    _check(by=by)
    now = orders.status(conn, checked_number(number))
    leaves = now.order_type == DELIVERY and now.status == READY
    to = OUT_FOR_DELIVERY if leaves else DELIVERED
    moves.move(conn, number, to, by=actor.signature(by), version=version)


def send_back(
    conn: Connection,
    number: str,
    *,
    reason: str,
    by: str | None = None,
    version: int | None = None,
    actor: Actor = UNNAMED,
) -> None:
    """Send a ready order back to the kitchen, to be cooked again before all others.

    Raises InvalidRequest, OrderNotFound, IllegalTransition, VersionConflict.
    """
    _check(by=by, reason=reason)
    moves.move(
        conn, checked_number(number), RECEIVED, by=actor.signature(by), reason=reason,
        version=version,
    )  # fmt: skip


def set_priority(
    conn: Connection,
    number: str,
    priority: int,
    *,
    reason: str,
    by: str | None = None,
    version: int | None = None,
    actor: Actor = UNNAMED,
) -> None:
    """Give an order that waits or cooks another priority.

    Raises InvalidRequest, InvalidOrder, OrderNotFound, IllegalTransition, VersionConflict.
    """
    _check(by=by, reason=reason)
    moves.prioritise(
        conn, checked_number(number), priority, by=actor.signature(by), reason=reason,
        version=version,
    )  # fmt: skip


# --- customers ------------------------------------------------------------------------------------


def customer(conn: Connection, name: str) -> Customer:
    """What is known of a customer. Raises CustomerNotFound."""
    if not may_be_stored(name):
        raise CustomerNotFound(name[:100])
    fold_names(conn)
    return customers.find(conn, name)


def set_vip(
    conn: Connection, name: str, vip: bool, *, by: str | None = None, actor: Actor = UNNAMED
) -> Customer:
    """Say whether a customer, even one who was never here, is a VIP. Raises InvalidRequest."""
    _check(by=by)
    if message := name_error(name):
        raise InvalidRequest([FieldError("name", message)])
    fold_names(conn)
    with conn.transaction():
        before = customers.lock_vip(conn, name)
        customers.set_vip(conn, name, vip, actor.signature(by))
        audit.record(
            conn, actor.called(by), "vip_changed", audit.customer(conn, name),
            before={"vip": before}, after={"vip": vip},
        )  # fmt: skip
    _log("customer_changed", f"Customer is {'a' if vip else 'no'} VIP", customer_name=name)
    return customers.find(conn, name)


# --- kitchen --------------------------------------------------------------------------------------


def pause_kitchen(
    conn: Connection,
    *,
    reason: str | None = None,
    by: str | None = None,
    actor: Actor = UNNAMED,
) -> KitchenState:
    """Take no orders until `resume_kitchen`; what was taken is cooked. Raises InvalidRequest."""
    _check(by=by, reason=reason)
    state = _set_paused(conn, True, reason, by, actor)
    _log("kitchen_paused", "Kitchen takes no orders", reason=reason, by=state.changed_by)
    return state


def resume_kitchen(
    conn: Connection, *, by: str | None = None, actor: Actor = UNNAMED
) -> KitchenState:
    """Take orders again. Raises InvalidRequest."""
    _check(by=by)
    state = _set_paused(conn, False, None, by, actor)
    _log("kitchen_resumed", "Kitchen takes orders", by=state.changed_by)
    return state


def _set_paused(
    conn: Connection, paused: bool, reason: str | None, by: str | None, actor: Actor
) -> KitchenState:
    with conn.transaction():
        before = kitchen.state(conn)
        state = kitchen.set_paused(conn, paused, reason, actor.signature(by))
        audit.record(
            conn, actor.called(by), "kitchen_paused" if paused else "kitchen_resumed",
            Subject("kitchen"), before={"paused": before.paused, "reason": before.reason},
            after={"paused": paused, "reason": reason},
        )  # fmt: skip
    return state


def set_max_concurrent(
    conn: Connection, limit: int, *, by: str | None = None, actor: Actor = UNNAMED
) -> KitchenState:
    """Set how many orders may be received or cooking at a time, 0 for no limit.

    From then on no order service changes it at its start. Raises InvalidRequest.
    """
    _check(by=by)
    if not 0 <= limit <= MAX_CONCURRENT_LIMIT:
        raise InvalidRequest([FieldError("limit", f"must be from 0 to {MAX_CONCURRENT_LIMIT}")])
    with conn.transaction():
        before = kitchen.state(conn)
        orders.set_capacity(conn, limit, actor.signature(by))
        audit.record(
            conn, actor.called(by), "max_concurrent_set", Subject("kitchen"),
            before={"max_concurrent": before.max_concurrent}, after={"max_concurrent": limit},
        )  # fmt: skip
    state = kitchen.state(conn)
    _log(
        "max_concurrent_set", "The restaurant has another limit of orders at a time",
        max_concurrent=state.max_concurrent, by=state.max_concurrent_by,
    )  # fmt: skip
    return state


def kitchen_state(conn: Connection) -> KitchenState:
    """Whether the kitchen takes orders, and how many at a time."""
    return kitchen.state(conn)


def open_stations(conn: Connection) -> list[str]:
    """The staffed stations behind the kitchen, in the order of the line."""
    return stations.line(conn)


def _check(*, by: str | None = None, reason: str | None = None) -> None:
    """Raise InvalidRequest for words that no log should have."""
    words = (("by", by, NAME_LENGTH), ("reason", reason, REASON_LENGTH))
    errors = [
        FieldError(name, message)
        for name, text, longest in words
        if text is not None and (message := words_error(text, longest))
    ]
    if errors:
        raise InvalidRequest(errors)


def _log(action: str, text: str, **details: Any) -> None:
    log.info(text, extra={"action": action, "details": details})
