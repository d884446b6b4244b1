"""When will it be ready: the waiting orders dealt to the cooks on shift, in the kitchen's order.

The same way that the kitchen itself goes: whenever a cook is free, the best waiting order that
this cook may cook is next. All times are in seconds from now.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pizza.domain.order import DELIVERY, DINE_IN, TAKEOUT

BASE_SECONDS = 10.0

FACTORS = {DINE_IN: 0.8, TAKEOUT: 1.0, DELIVERY: 1.2}


def cooking_seconds(order_type: str, base: float = BASE_SECONDS) -> float:
    """The cooking time of one order in seconds.

    base: the time of a takeout (`--cooking-time`); 0 cooks at once.
    """
    return FACTORS[order_type] * base


@dataclass(frozen=True, slots=True)
class Cook:
    """One cook on shift: what it may cook (None: all), and in how long it is free."""

    order_types: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    free_in: float = 0.0

    def may_cook(self, order: Waiting) -> bool:
        """Whether the kitchen would give it this order."""
        if self.order_types is not None and order.order_type not in self.order_types:
            return False
        return self.tags is None or order.needs <= self.tags


@dataclass(frozen=True, slots=True)
class Waiting:
    """One waiting order; `seconds` is how long it cooks."""

    number: str
    order_type: str
    seconds: float
    needs: frozenset[str] = field(default_factory=frozenset)


def completions(cooks: Iterable[Cook], line: Sequence[Waiting]) -> dict[str, float | None]:
    """In how long each order of the line will be ready; None for one that nobody may cook.

    line: best first, as the kitchen takes them.
    """
    shift = list(cooks)
    free = [(cook.free_in, turn, cook) for turn, cook in enumerate(shift)]
    heapq.heapify(free)
    left = list(line)
    found: dict[str, float | None] = {}
    while left and free:
        moment, turn, cook = heapq.heappop(free)
        order = next((each for each in left if cook.may_cook(each)), None)
        if order is None:
            continue  # nothing will come for this cook any more
        left.remove(order)
        found[order.number] = moment + order.seconds
        heapq.heappush(free, (moment + order.seconds, turn, cook))
    return found | {order.number: None for order in left}
