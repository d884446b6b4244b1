"""Who changed an order, for people who know only its number: a role, never a name."""

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

# Names that programs use; no people.
_PROGRAMS = frozenset(
    {"order-service", "tracking-service", "outside", "ageing", KITCHEN, DELIVERY, CUSTOMER, STAFF}
)
# The role that usually sets each status.
_ROLES = {
    RECEIVED: STAFF,
    COOKING: KITCHEN,
    READY: KITCHEN,
    OUT_FOR_DELIVERY: DELIVERY,
    DELIVERED: STAFF,
    CANCELLED: STAFF,
}


def role_of(changed_by: str, status: str) -> str:
    """The role of the person who set `status`; the name of a program stays."""
    return changed_by if changed_by in _PROGRAMS else _ROLES.get(status, STAFF)
