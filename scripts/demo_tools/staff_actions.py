"""What customers and staff do to orders while the demo runs: each action once."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from demo_tools.order_view import OrderView
from pizza.domain.order import DELIVERY
from pizza.domain.stations import HANDOVER
from pizza.domain.status import READY, RECEIVED
from supervisor.api_client import AnswerLost, ApiClient, Refused

CUSTOMER, QUALITY, MANAGER, HANDOVER_CLERK = "customer", "quality", "manager", "front desk"
BURNT = "the crust is burnt"
TRAIN = "the customer has a train to catch"
URGENT = 10
_SETTLED_SECONDS = 1.0
_MOST_TRIES = 3


def cancel_one(client: ApiClient, place: Callable[[], OrderView]) -> list[OrderView]:
    """Place one more order and cancel it while it waits; the views of all orders placed for that.

    More than one only where a cook was faster than the customer; that order is cooked then.
    """
    views: list[OrderView] = []
    for _ in range(_MOST_TRIES):
        views.append(place())
        if send_action(client, views[-1], "cancel", by=CUSTOMER):
            break
    return views


def prioritise_one(client: ApiClient, views: Sequence[OrderView]) -> None:
    """Give the last order of the lowest priority that still waits the highest one."""
    lowest = min(view.priority for view in views)
    for view in reversed([each for each in views if each.priority == lowest]):
        waits = client.get(f"/orders/{view.number}/status")["current_status"] == RECEIVED
        if waits and send_action(
            client, view, "priority", by=MANAGER, reason=TRAIN, priority=URGENT
        ):
            return


class HandoverClient:
    """Quality sends one order back; the front desk hands over the others."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._sent_back = False

    def serve(self, view: OrderView) -> None:
        """Handle an order by its last status; couriers deliver theirs."""
        if view.order_type == DELIVERY or view.status != READY:
            return
        if not self._sent_back:
            self._sent_back = send_action(self._client, view, "send-back", by=QUALITY, reason=BURNT)
        elif view.stage == HANDOVER:
            send_action(self._client, view, "deliver", by=HANDOVER_CLERK)


def send_action(client: ApiClient, view: OrderView, verb: str, *, by: str, **words: Any) -> bool:
    """POST /orders/{number}/{verb}, once; False when it was refused.

    When the answer was lost, the order's history shows whether the action had its effect.
    """
    while True:
        try:
            client.post(f"/orders/{view.number}/{verb}", {"by": by, **words})
            return True
        except Refused:
            return False
        except AnswerLost:
            time.sleep(_SETTLED_SECONDS)
            history = client.get(f"/orders/{view.number}/history")
            if any(row["changed_by"] == by for row in history):
                return True
