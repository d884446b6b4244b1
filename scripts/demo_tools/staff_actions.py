"""What guests and staff do to orders by hand while the demo runs: each thing once, as by curl."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from demo_tools.order_view import OrderView
from pizza.domain.order import DELIVERY
from pizza.domain.stations import HANDOVER
from pizza.domain.status import READY, RECEIVED
from supervisor.api_client import AnswerLost, ApiClient, Refused

GUEST, QUALITY, MANAGER, DESK = "customer", "quality", "manager", "front desk"
BURNT = "the crust is burnt"
TRAIN = "the guest has a train to catch"
URGENT = 10
_SETTLED_SECONDS = 1.0
_MOST_TRIES = 3


def cancel_one(client: ApiClient, place: Callable[[], OrderView]) -> list[OrderView]:
    """Place one order more and cancel it while it waits; gives the views this took.

    More than one only where a cook was faster than the guest; that order is cooked then.
    """
    views: list[OrderView] = []
    for _ in range(_MOST_TRIES):
        views.append(place())
        if act(client, views[-1], "cancel", by=GUEST):
            break
    return views


def prioritise_one(client: ApiClient, views: Sequence[OrderView]) -> None:
    """Give the last order of the lowest priority that still waits the highest one."""
    lowest = min(view.priority for view in views)
    for view in reversed([each for each in views if each.priority == lowest]):
        waits = client.get(f"/orders/{view.number}/status")["current_status"] == RECEIVED
        if waits and act(client, view, "priority", by=MANAGER, reason=TRAIN, priority=URGENT):
            return


class HandoverClient:
    """Where orders leave the kitchen: one is sent back, the others reach the guests here."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._sent_back = False

    def serve(self, view: OrderView) -> None:
        """Do what has to be done to an order, as it was last seen; couriers see to theirs."""
        if view.order_type == DELIVERY or view.status != READY:
            return
        if not self._sent_back:
            self._sent_back = act(self._client, view, "send-back", by=QUALITY, reason=BURNT)
        elif view.stage == HANDOVER:
            act(self._client, view, "deliver", by=DESK)


def act(client: ApiClient, view: OrderView, verb: str, *, by: str, **words: Any) -> bool:
    """POST /orders/{number}/{verb}, once; False when it was refused.

    When the answer was lost, the log of the order tells whether it had its effect.
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
