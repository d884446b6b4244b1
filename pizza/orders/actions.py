"""What staff and customers do with an order: cancel, deliver, send back, set another priority.

The state machine is the table of pizza.domain.status. A change is applied only to the version of
the order that it was checked against. The order's history names who changed it: the actor's key,
and `by` as a note. `version`: the order's version that the caller has read (from an If-Match
header), None for any.
"""

from __future__ import annotations

import logging

from pizza.database.connection import Connection
from pizza.domain.actor import UNNAMED, Actor, check_signature
from pizza.domain.errors import (
    FieldError,
    IllegalTransition,
    InvalidOrder,
    ReasonRequired,
    VersionConflict,
)
from pizza.domain.order import DELIVERY, MAX_PRIORITY, MIN_PRIORITY, OrderStatus, UpdatedOrder
from pizza.domain.status import (
    ACTIVE,
    CANCELLED,
    CUSTOMER,
    DELIVERED,
    OUT_FOR_DELIVERY,
    READY,
    RECEIVED,
    STAFF,
    allowed,
    transition,
)
from pizza.orders import storage
from pizza.orders.orders import validate_number
from pizza.taskqueue.logs import log_action
from pizza.topology import ORDERS_TOPIC, TYPED_QUEUES

log = logging.getLogger(__name__)

# Attempts, if the order is changed by others between the check and the update.
_TRIES = 5


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

    role: which of the two it is, where that is known. Staff needs a reason for an order that is no
        longer `received`; a customer may not cancel it then.
    Raises InvalidRequest, OrderNotFound, IllegalTransition, ReasonRequired, VersionConflict.
    """
    role = role or (STAFF if reason is not None else CUSTOMER)
    check_signature(by=by, reason=reason)
    is_staff = role == STAFF or actor.key_id is not None
    who = actor.signature(by) if is_staff else by or CUSTOMER
    number = validate_number(number)
    transition_order(conn, number, CANCELLED, by=who, role=role, reason=reason, version=version)


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
    check_signature(by=by)
    now = storage.get_status(conn, validate_number(number))
    leaves = now.order_type == DELIVERY and now.status == READY
    to = OUT_FOR_DELIVERY if leaves else DELIVERED
    transition_order(conn, number, to, by=actor.signature(by), version=version)


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
    check_signature(by=by, reason=reason)
    who, number = actor.signature(by), validate_number(number)
    transition_order(conn, number, RECEIVED, by=who, reason=reason, version=version)


def transition_order(
    conn: Connection,
    number: str,
    to: str,
    *,
    by: str,
    role: str = STAFF,
    reason: str | None = None,
    version: int | None = None,
) -> UpdatedOrder:
    """Set the status of an order, with its log row and its notification, in one transaction.

    by: for the log, with the reason; role: of the one who does it (pizza.domain.status).
    Raises OrderNotFound, IllegalTransition, ReasonRequired, VersionConflict.
    """
    notes = f"{role}: {reason}" if reason else None
    for _ in range(_TRIES):
        now = _read_version(conn, number, version)
        arrow = transition(now.status, to, now.order_type, role)
        if arrow.needs_reason and not reason:
            raise ReasonRequired(now.status, to)
        queue = TYPED_QUEUES[now.order_type]
        moved = storage.transition_order(
            conn, number, now.version, to, by=by, notes=notes, queue=queue, exchange=ORDERS_TOPIC
        )
        if moved is not None:
            details = {"from": now.status, "to": to, "by": by, "reason": reason}
            text = f"Order is {to}"
            log_action(log.info, "order_status_changed", text, details, order_number=number)
            return moved
    raise VersionConflict(number, now.version, now.version + 1)


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

    Raises InvalidRequest, InvalidOrder, OrderNotFound, IllegalTransition (the order has left the
    kitchen), VersionConflict.
    """
    check_signature(by=by, reason=reason)
    who, number = actor.signature(by), validate_number(number)
    if not MIN_PRIORITY <= priority <= MAX_PRIORITY:
        message = f"must be from {MIN_PRIORITY} to {MAX_PRIORITY}"
        raise InvalidOrder([FieldError("priority", message)])
    for _ in range(_TRIES):
        now = _read_version(conn, number, version)
        if now.status not in ACTIVE:
            raise IllegalTransition(
                now.status,
                "reprioritised",
                allowed(now.status, now.order_type),
                f"An order that is {now.status} cannot get another priority.",
            )
        notes = f"priority {now.priority} → {priority}: manual override: {reason}"
        if storage.set_priority(conn, number, now.version, priority, by=who, notes=notes):
            details = {"from": now.priority, "to": priority, "by": who, "reason": reason}
            text = "Order has another priority"
            log_action(log.info, "order_prioritised", text, details, order_number=number)
            return
    raise VersionConflict(number, now.version, now.version + 1)


def _read_version(conn: Connection, number: str, version: int | None) -> OrderStatus:
    now = storage.get_status(conn, number)
    if version is not None and version != now.version:
        raise VersionConflict(number, version, now.version)
    return now
