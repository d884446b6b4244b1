"""How long an order cooks: 8, 10 and 12 seconds, scaled by `--cooking-time`."""

from __future__ import annotations

from pizza.domain.order import DELIVERY, DINE_IN, TAKEOUT

BASE_SECONDS = 10.0

FACTORS = {DINE_IN: 0.8, TAKEOUT: 1.0, DELIVERY: 1.2}


def cooking_seconds(order_type: str, base: float = BASE_SECONDS) -> float:
    """Seconds in the oven for one order; `base` is a takeout's time, 0 cooks at once."""
    return FACTORS[order_type] * base
