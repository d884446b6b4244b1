"""Who changed an order, as a stranger is told who knows its number alone: a role, never a name."""

from __future__ import annotations

from pizza.domain.status import (
    CANCELLED,
    COOKING,
    CUSTOMER,
    DELIVERED,
    OUT_FOR_DELIVERY,
    READY,
    RECEIVED,
    STAFF,
)

KITCHEN, DELIVERY = "kitchen", "delivery"

# What programs sign with; no people.
_PROGRAMS = frozenset(
    {"order-service", "tracking-service", "outside", "ageing", KITCHEN, DELIVERY, CUSTOMER, STAFF}
)
# The role that leads an order to each status.
_ROLES = {
    RECEIVED: STAFF,
    COOKING: KITCHEN,
    READY: KITCHEN,
    OUT_FOR_DELIVERY: DELIVERY,
    DELIVERED: STAFF,
    CANCELLED: STAFF,
}


def role_of(changed_by: str, status: str) -> str:
    """The role of the one who led an order to `status`; a program's own name stays."""
    return changed_by if changed_by in _PROGRAMS else _ROLES.get(status, STAFF)
