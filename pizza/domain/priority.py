"""The priority of an order: the rules of the specification as one table.

The specification's own example calls an order of 106.92 priority 5; the rule "orders > $100" wins
(docs/decisions.md), so such an order has 10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

HIGH, MEDIUM, NORMAL = 10, 5, 1
LARGE_FROM = Decimal("50.00")
HUGE_ABOVE = Decimal("100.00")


@dataclass(frozen=True, slots=True)
class PriorityInputs:
    """Inputs of the rules. repeat: an earlier order of this customer was not cancelled."""

    vip: bool
    rush: bool
    total: Decimal
    repeat: bool
    override: int | None = None


@dataclass(frozen=True, slots=True)
class AssignedPriority:
    """A priority and the name of the rule that gave it, for the log."""

    priority: int
    rule: str


@dataclass(frozen=True, slots=True)
class PriorityRule:
    """A row of the table."""

    name: str
    priority: int
    applies: Callable[[PriorityInputs], bool]


# The first rule that applies is used.
RULES = (
    PriorityRule("VIP customer", HIGH, lambda inputs: inputs.vip),
    PriorityRule("rush order", HIGH, lambda inputs: inputs.rush),
    PriorityRule("order over 100.00", HIGH, lambda inputs: inputs.total > HUGE_ABOVE),
    PriorityRule("order from 50.00 to 100.00", MEDIUM, lambda inputs: inputs.total >= LARGE_FROM),
    PriorityRule("repeat customer", MEDIUM, lambda inputs: inputs.repeat),
    PriorityRule("standard order", NORMAL, lambda inputs: True),
)


def assign_priority(inputs: PriorityInputs) -> AssignedPriority:
    """Assign a priority from 1 to 10; a manual override takes precedence over all rules."""
    if inputs.override is not None:
        return AssignedPriority(inputs.override, "manual override")
    rule = next(rule for rule in RULES if rule.applies(inputs))
    return AssignedPriority(rule.priority, rule.name)
