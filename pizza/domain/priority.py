"""How urgent an order is: the rules of the specification as one table.

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
class Facts:
    """What the rules look at. `repeat`: an earlier order of this customer was not cancelled."""

    vip: bool
    rush: bool
    total: Decimal
    repeat: bool
    override: int | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A priority and the rule that gave it, in words for the log."""

    priority: int
    rule: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    name: str
    priority: int
    applies: Callable[[Facts], bool]


# Read from the top; the first row that applies decides.
RULES = (
    Rule("VIP customer", HIGH, lambda facts: facts.vip),
    Rule("rush order", HIGH, lambda facts: facts.rush),
    Rule("order over 100.00", HIGH, lambda facts: facts.total > HUGE_ABOVE),
    Rule("order from 50.00 to 100.00", MEDIUM, lambda facts: facts.total >= LARGE_FROM),
    Rule("repeat customer", MEDIUM, lambda facts: facts.repeat),
    Rule("standard order", NORMAL, lambda facts: True),
)


def assign(facts: Facts) -> Assignment:
    """Give an order its priority, 1 to 10; a manual override beats every rule."""
    if facts.override is not None:
        return Assignment(facts.override, "manual override")
    rule = next(rule for rule in RULES if rule.applies(facts))
    return Assignment(rule.priority, rule.name)
