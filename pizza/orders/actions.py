"""What staff and customers do with an order: cancel, deliver, send back, another priority.

Each takes a connection and plain words, and checks them. The order's history names who changed it:
the actor's key, and `by` as a note. `version`: the order's version that the caller has read (see
pizza.orders.transitions).
"""

from __future__ import annotations

from typing import Any

import psycopg

from pizza.domain.actor import UNNAMED, Actor, check_signature
from pizza.domain.order import DELIVERY
from pizza.domain.status import (
    CANCELLED,
    CUSTOMER,
    DELIVERED,
    OUT_FOR_DELIVERY,
    READY,
    RECEIVED,
    STAFF,
)
from pizza.orders import storage, transitions
from pizza.orders.orders import validate_number

Connection = psycopg.Connection[Any]


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
    transitions.transition_order(
        conn, validate_number(number), CANCELLED, by=who, role=role, reason=reason, version=version
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
    check_signature(by=by)
    now = storage.get_status(conn, validate_number(number))
    leaves = now.order_type == DELIVERY and now.status == READY
    to = OUT_FOR_DELIVERY if leaves else DELIVERED
    transitions.transition_order(conn, number, to, by=actor.signature(by), version=version)


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
    transitions.transition_order(
        conn, validate_number(number), RECEIVED, by=actor.signature(by), reason=reason,
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
    check_signature(by=by, reason=reason)
    transitions.set_priority(
        conn, validate_number(number), priority, by=actor.signature(by), reason=reason,
        version=version,
    )  # fmt: skip
