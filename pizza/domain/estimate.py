"""Estimates when waiting orders will be ready, by a simulation of the cooks that are online.

As the workers do, each cook that is free takes the best waiting order that it may cook. All times
are in seconds from now.
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

    base: the cooking time of a takeout in seconds (`--cooking-time`); may be 0.
    """
    return FACTORS[order_type] * base


@dataclass(frozen=True, slots=True)
class Cook:
    """An online cook. order_types, tags: what it may cook (None: all).

    busy_seconds: time until it can take an order.
    """

    order_types: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    busy_seconds: float = 0.0

    def may_cook(self, order: QueuedOrder) -> bool:
        """Whether a worker with these order types and tags may take the order."""
        if self.order_types is not None and order.order_type not in self.order_types:
            return False
        return self.tags is None or order.required_tags <= self.tags


@dataclass(frozen=True, slots=True)
class QueuedOrder:
    """A waiting order; `seconds`: its cooking time."""

    number: str
    order_type: str
    seconds: float
    required_tags: frozenset[str] = field(default_factory=frozenset)


def estimate_completions(
    cooks: Iterable[Cook], queue: Sequence[QueuedOrder]
) -> dict[str, float | None]:
    """The seconds until each order will be ready, by number; None if no cook may cook it.

    queue: best first, as the workers take them.
    """
    free = [(cook.busy_seconds, index, cook) for index, cook in enumerate(cooks)]
    heapq.heapify(free)
    left = list(queue)
    found: dict[str, float | None] = {}
    while left and free:
        moment, index, cook = heapq.heappop(free)
        order = next((each for each in left if cook.may_cook(each)), None)
        if order is None:
            continue  # this cook may cook none of the rest
        left.remove(order)
        found[order.number] = moment + order.seconds
        heapq.heappush(free, (moment + order.seconds, index, cook))
    return found | {order.number: None for order in left}
