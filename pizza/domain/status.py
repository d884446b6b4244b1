"""The status transitions of an order as a table, with who may make them (docs/decisions.md)."""

from __future__ import annotations

from dataclasses import dataclass

from pizza.domain.errors import IllegalTransition
from pizza.domain.order import DELIVERY, DINE_IN, ORDER_TYPES, TAKEOUT

RECEIVED, COOKING, READY = "received", "cooking", "ready"
OUT_FOR_DELIVERY, DELIVERED, CANCELLED = "out-for-delivery", "delivered", "cancelled"
STATUSES = (RECEIVED, COOKING, READY, OUT_FOR_DELIVERY, DELIVERED, CANCELLED)
ACTIVE = (RECEIVED, COOKING)
"""The statuses that count towards the limit of concurrent orders."""
ENDED = (DELIVERED, CANCELLED)
"""The statuses that an order never leaves."""

COOK, COURIER, STATION, STAFF, CUSTOMER = "cook", "courier", "station", "staff", "customer"


@dataclass(frozen=True, slots=True)
class Transition:
    """One permitted change. by: the roles that may make it. order_types: to which it applies."""

    source: str
    target: str
    by: frozenset[str]
    order_types: tuple[str, ...] = ORDER_TYPES
    needs_reason: bool = False


TRANSITIONS = (
    Transition(RECEIVED, COOKING, frozenset({COOK})),
    Transition(COOKING, READY, frozenset({COOK})),
    # Staff carries it where the restaurant has no courier at work.
    Transition(READY, OUT_FOR_DELIVERY, frozenset({COURIER, STAFF}), (DELIVERY,)),
    Transition(OUT_FOR_DELIVERY, DELIVERED, frozenset({COURIER, STAFF}), (DELIVERY,)),
    # What quality, or staff, sends back waits to be cooked again.
    Transition(READY, RECEIVED, frozenset({STATION, STAFF}), needs_reason=True),
    # Who eats here or fetches the order gets it from the last station of the line, or from staff.
    Transition(READY, DELIVERED, frozenset({STATION, STAFF}), (DINE_IN, TAKEOUT)),
    Transition(RECEIVED, CANCELLED, frozenset({CUSTOMER, STAFF})),
    Transition(COOKING, CANCELLED, frozenset({STAFF}), needs_reason=True),
    Transition(READY, CANCELLED, frozenset({STAFF}), needs_reason=True),
)


def allowed(status: str, order_type: str, by: str | None = None) -> tuple[str, ...]:
    """List what an order may become next, by anyone or by one role; () when its life is over."""
    return tuple(
        row.target
        for row in TRANSITIONS
        if row.source == status and order_type in row.order_types and (by is None or by in row.by)
    )


def transition(status: str, target: str, order_type: str, by: str) -> Transition:
    """Find the arrow that `by` wants to walk.

    Raises IllegalTransition, with what is allowed instead, when the table has no such arrow.
    """
    for row in TRANSITIONS:
        right_way = (row.source, row.target) == (status, target)
        if right_way and order_type in row.order_types and by in row.by:
            return row
    raise IllegalTransition(status, target, allowed(status, order_type, by))
