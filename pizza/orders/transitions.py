"""Transitions of orders by staff and customers, and changes of the priority.

The state machine is the table of pizza.domain.status. A change is applied only to the version of
the order that it was checked against.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from pizza.domain.errors import (
    FieldError,
    IllegalTransition,
    InvalidOrder,
    ReasonRequired,
    VersionConflict,
)
from pizza.domain.order import MAX_PRIORITY, MIN_PRIORITY, OrderStatus, UpdatedOrder
from pizza.domain.status import ACTIVE, STAFF, allowed, transition
from pizza.orders import storage as orders
from pizza.topology import ORDERS_TOPIC, TYPED_QUEUES

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

# Attempts, if the order is changed by others between the check and the update.
_TRIES = 5


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

    by: the actor; role: of the actor (pizza.domain.status); reason: for the log.
    version: the required version of the order (from an If-Match header), None for any.
    Raises OrderNotFound, IllegalTransition, ReasonRequired, VersionConflict.
    """
    for _ in range(_TRIES):
        now = _read_version(conn, number, version)
        arrow = transition(now.status, to, now.order_type, role)
        if arrow.needs_reason and not reason:
            raise ReasonRequired(now.status, to)
        moved = orders.transition_order(
            conn, number, now.version, to, by=by, notes=_notes(reason, role),
            queue=TYPED_QUEUES[now.order_type], exchange=ORDERS_TOPIC,
        )  # fmt: skip
        if moved is not None:
            log.info(
                "Order is %s", to,
                extra={"action": "order_status_changed", "order_number": number,
                       "details": {"from": now.status, "to": to, "by": by, "reason": reason}},
            )  # fmt: skip
            return moved
    raise VersionConflict(number, now.version, now.version + 1)


def set_priority(
    conn: Connection,
    number: str,
    priority: int,
    *,
    by: str,
    reason: str,
    version: int | None = None,
) -> UpdatedOrder:
    """Set the priority of a received or cooking order.

    Raises OrderNotFound, InvalidOrder, IllegalTransition (the order has left the kitchen),
    VersionConflict.
    """
    if not MIN_PRIORITY <= priority <= MAX_PRIORITY:
        raise InvalidOrder(
            [FieldError("priority", f"must be from {MIN_PRIORITY} to {MAX_PRIORITY}")]
        )
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
        moved = orders.set_priority(conn, number, now.version, priority, by=by, notes=notes)
        if moved is not None:
            log.info(
                "Order has another priority",
                extra={"action": "order_prioritised", "order_number": number,
                       "details": {"from": now.priority, "to": priority, "by": by,
                                   "reason": reason}},
            )  # fmt: skip
            return moved
    raise VersionConflict(number, now.version, now.version + 1)


def _read_version(conn: Connection, number: str, version: int | None) -> OrderStatus:
    now = orders.get_status(conn, number)
    if version is not None and version != now.version:
        raise VersionConflict(number, version, now.version)
    return now


def _notes(reason: str | None, role: str) -> str | None:
    return f"{role}: {reason}" if reason else None
