"""The lunch rush: what customers and staff do, from twelve orders until the last is delivered."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from demo_tools.order_view import OrderView, Row, RushFailed
from devservices import wait_until
from pizza.domain.order import DELIVERY
from pizza.domain.stations import HANDOVER
from pizza.domain.status import READY, RECEIVED
from supervisor.api_client import AnswerLost, ApiClient, Refused

FIRST_NAMES = ["Ada", "Bruno", "Carla", "Dario", "Elena", "Fabio", "Gina", "Hugo", "Irma", "Luca"]
LAST_NAMES = ["Abel", "Berg", "Conti", "Dupont", "Egger", "Ferri", "Gallo", "Hahn", "Jung", "Lind"]
MARGHERITA = {"name": "Margherita Pizza", "quantity": 1, "price": 9.5}
PASTA = {"name": "Penne Pasta", "quantity": 1, "price": 11.9}
SALAD = {"name": "Caesar Salad", "quantity": 1, "price": 8.99}
STEAK = {"name": "Premium Steak", "quantity": 1, "price": 45.99}
FEAST = {"name": "Family Pizza", "quantity": 4, "price": 15.99}
BURNT = "the crust is burnt"
TRAIN = "the customer has a train to catch"
URGENT = 10
POLL_SECONDS = 0.15
TIMEOUT_SECONDS = 180.0
_SETTLED_SECONDS = 1.0
_MOST_TRIES = 3

# Shows a view that changed, with the row of its history; (None, None) each round.
Show = Callable[[OrderView | None, Row | None], None]


def orders() -> Iterator[dict[str, Any]]:
    """Twelve orders of all types and priorities, urgent ones last."""
    kinds: list[dict[str, Any]] = [
        {"order_type": "takeout"},
        {"order_type": "dine-in", "table_number": random.randint(1, 20)},
        {"order_type": "delivery", "delivery_address": "123 Main St, City, State 12345"},
    ]
    plain: list[dict[str, Any]] = [{"items": [MARGHERITA]}, {"items": [PASTA, SALAD]}]
    urgent: list[dict[str, Any]] = [
        {"items": [STEAK], "rush": True},
        {"items": [MARGHERITA], "customer_type": "vip"},
        {"items": [{**FEAST, "quantity": 8}]},
    ]
    choices = [(kind, dish) for kind in kinds for dish in plain]
    choices += [(kind, {"items": [FEAST]}) for kind in kinds]
    choices += zip(kinds, urgent, strict=True)
    for kind, dish in choices:
        yield {**kind, **dish}


def place(client: ApiClient, order: Mapping[str, Any]) -> OrderView:
    """Place one order, once, for a customer with a name that nobody has had before."""
    name = f"{random.choice(FIRST_NAMES)} {random.choice(LAST_NAMES)}"
    name = f"{name} {time.time_ns() % 100_000:05d}"
    answer = client.post("/orders", {"customer_name": name, **order}, key=str(uuid4()))
    page = answer.get("tracking_url", "")
    return OrderView(answer["order_number"], order["order_type"], answer["priority"], page=page)


def follow(client: ApiClient, views: Sequence[OrderView], show: Show) -> None:
    """Update the orders until all are over; send one back and hand over the others."""
    handover = HandoverClient(client)

    def all_over() -> bool:
        for view in views:
            if not view.over:
                for row in fetch_news(client, view):
                    show(view, row)
                handover.serve(view)
        show(None, None)
        return all(view.over for view in views)

    if not wait_until(all_over, TIMEOUT_SECONDS, POLL_SECONDS):
        numbers = ", ".join(view.number for view in views if not view.over)
        raise RushFailed(f"Not delivered after {TIMEOUT_SECONDS:.0f} s: {numbers}.")


def fetch_news(client: ApiClient, view: OrderView) -> list[Row]:
    """Update an order; gives the new rows of its history."""
    now = client.get(f"/orders/{view.number}/status")
    if now["updated_at"] == view.updated_at:
        return []
    return view.update(now, client.get(f"/orders/{view.number}/history"))


def cancel_one(client: ApiClient) -> list[OrderView]:
    """Place one more order and cancel it while it waits; the views of all orders placed for that.

    More than one only where a cook was faster than the customer; that order is cooked then.
    """
    views: list[OrderView] = []
    for _ in range(_MOST_TRIES):
        views.append(place(client, {"order_type": "takeout", "items": [SALAD]}))
        if send_action(client, views[-1], "cancel", by="customer"):
            break
    return views


def prioritise_one(client: ApiClient, views: Sequence[OrderView]) -> None:
    """Give the last order of the lowest priority that still waits the highest one."""
    lowest = min(view.priority for view in views)
    more: dict[str, Any] = {"by": "manager", "reason": TRAIN, "priority": URGENT}
    for view in reversed([each for each in views if each.priority == lowest]):
        waits = client.get(f"/orders/{view.number}/status")["current_status"] == RECEIVED
        if waits and send_action(client, view, "priority", **more):
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
            self._sent_back = send_action(
                self._client, view, "send-back", by="quality", reason=BURNT
            )
        elif view.stage == HANDOVER:
            send_action(self._client, view, "deliver", by="front desk")


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
