"""The lunch rush: twelve orders, placed, followed until they are delivered, checked."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from demo_tools.order_view import (
    REPRIORITISED,
    TAKEN_OVER,
    OrderView,
    Row,
    RushFailed,
    times_sent_back,
)
from demo_tools.staff_actions import HandoverClient
from devservices import wait_until
from pizza.domain.status import CANCELLED, COOKING
from supervisor.api_client import ApiClient

FIRST_NAMES = ["Ada", "Bruno", "Carla", "Dario", "Elena", "Fabio", "Gina", "Hugo", "Irma", "Luca"]
LAST_NAMES = ["Abel", "Berg", "Conti", "Dupont", "Egger", "Ferri", "Gallo", "Hahn", "Jung", "Lind"]
MARGHERITA = {"name": "Margherita Pizza", "quantity": 1, "price": 9.5}
PASTA = {"name": "Penne Pasta", "quantity": 1, "price": 11.9}
SALAD = {"name": "Caesar Salad", "quantity": 1, "price": 8.99}
STEAK = {"name": "Premium Steak", "quantity": 1, "price": 45.99}
FEAST = {"name": "Family Pizza", "quantity": 4, "price": 15.99}
POLL_SECONDS = 0.15
TIMEOUT_SECONDS = 180.0


def orders() -> Iterator[dict[str, Any]]:
    """Twelve orders of all types and priorities, urgent ones last."""
    table = {"order_type": "dine-in", "table_number": random.randint(1, 20)}
    delivery = {"order_type": "delivery", "delivery_address": "123 Main St, City, State 12345"}
    counter = {"order_type": "takeout"}
    plain: list[Mapping[str, Any]] = [{"items": [MARGHERITA]}, {"items": [PASTA, SALAD]}]
    large: Mapping[str, Any] = {"items": [FEAST]}
    urgent: list[Mapping[str, Any]] = [
        {"items": [STEAK], "rush": True},
        {"items": [MARGHERITA], "customer_type": "vip"},
        {"items": [{**FEAST, "quantity": 8}]},
    ]
    kinds: list[dict[str, Any]] = [counter, table, delivery]
    choices = [(kind, dish) for kind in kinds for dish in plain]
    choices += [(kind, large) for kind in kinds]
    choices += list(zip(kinds, urgent, strict=True))
    for kind, dish in choices:
        yield {"customer_name": new_name(), **kind, **dish}


def place(client: ApiClient, order: Mapping[str, Any]) -> OrderView:
    """Place one order, once, however often the request is repeated."""
    answer = client.post("/orders", order, key=str(uuid4()))
    page = answer.get("tracking_url", "")
    return OrderView(answer["order_number"], order["order_type"], answer["priority"], page=page)


def one_more() -> dict[str, Any]:
    """An order that will be cancelled."""
    return {"customer_name": new_name(), "order_type": "takeout", "items": [SALAD]}


def new_name() -> str:
    """A name that no customer has had before."""
    name = f"{random.choice(FIRST_NAMES)} {random.choice(LAST_NAMES)}"
    return f"{name} {time.time_ns() % 100_000:05d}"


def follow(
    client: ApiClient,
    views: Sequence[OrderView],
    show: Callable[[OrderView | None, Row | None], None],
) -> None:
    """Update the orders until all are over; send one back and hand over the others.

    `show` gets each view that changed with the row of its history, (None, None) each round.
    """
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


def verify(client: ApiClient, views: Sequence[OrderView]) -> list[str]:
    """Read all histories again and summarise them; RushFailed if one was lost or doubled."""
    if len({view.number for view in views}) != len(views):
        raise RushFailed("Two orders were given the same number.")
    for view in views:
        view.history = client.get(f"/orders/{view.number}/history")
    again = [view for view in views if times_sent_back(view)]
    cancelled = [view for view in views if view.status == CANCELLED]
    cooked = [view for view in views if view not in cancelled]
    words = [f"Checked: {len(cooked)} orders, each received, cooked, ready and delivered once."]
    words += [_sent_back(view) for view in again]
    words += [_overtook(view, cooked) for view in cooked if _changes(view)]
    words += [f"  {view.number} was cancelled while it waited." for view in cancelled]
    if taken_over := sum(len(view.notes(TAKEN_OVER)) for view in views):
        words.append(f"  {taken_over} taken over from a cook that had gone.")
    return words


def _changes(view: OrderView) -> list[Row]:
    """The changes of its priority; the first row has the note on the initial one."""
    return [row for row in view.notes(REPRIORITISED) if row is not view.history[0]]


def _sent_back(view: OrderView) -> str:
    way = [row["status"] for row in view.history]
    row = view.history[way.index("received", way.index("ready"))]
    text = f"  But {view.number} was cooked and ready again: {row['changed_by']} sent it back"
    return f"{text} ({row['notes']})."


def _overtook(view: OrderView, others: Sequence[OrderView]) -> str:
    """Says how many older orders of its former priority it passed."""
    began = view.first_time(COOKING)
    older = [each for each in others if each.number < view.number and each.priority == 1]
    late = [x for x in older if began and (begun := x.first_time(COOKING)) and begun > began]
    note = _changes(view)[0]["notes"]
    return f"  {view.number} overtook {len(late)} that had waited longer ({note})."
