"""The lunch rush: twelve orders, placed as a client would, followed until ready, checked."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from client import AnswerLost, Client

FIRST_NAMES = ("Ada", "Bruno", "Carla", "Dario", "Elena", "Fabio", "Gina", "Hugo", "Irma", "Luca")
LAST_NAMES = (
    "Abel",
    "Berg",
    "Conti",
    "Dupont",
    "Egger",
    "Ferri",
    "Gallo",
    "Hahn",
    "Jansen",
    "Lind",
)
MARGHERITA = {"name": "Margherita Pizza", "quantity": 1, "price": 9.5}
PASTA = {"name": "Penne Pasta", "quantity": 1, "price": 11.9}
SALAD = {"name": "Caesar Salad", "quantity": 1, "price": 8.99}
STEAK = {"name": "Premium Steak", "quantity": 1, "price": 45.99}
FEAST = {"name": "Family Pizza", "quantity": 4, "price": 15.99}
LOOK_SECONDS = 0.15
PATIENCE_SECONDS = 180.0


class RushFailed(RuntimeError):
    """The rush did not end as it must; the message is one sentence."""


@dataclass
class Ticket:
    """One order as the customer sees it."""

    number: str
    order_type: str
    priority: int
    status: str = "received"
    cook: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def waited(self) -> float | None:
        """Seconds from received to the first cooking."""
        return self._between("received", "cooking")

    @property
    def cooked_in(self) -> float | None:
        """Seconds from the first cooking to ready."""
        return self._between("cooking", "ready")

    def _between(self, first: str, last: str) -> float | None:
        times: dict[str, datetime] = {}
        for row in self.history:
            times.setdefault(row["status"], datetime.fromisoformat(row["timestamp"]))
        return (
            (times[last] - times[first]).total_seconds() if {first, last} <= times.keys() else None
        )


def orders() -> Iterator[dict[str, Any]]:
    """Twelve orders of all types and priorities, urgent ones last, by guests not seen before."""
    names = random.sample([f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES], 12)
    table = {"order_type": "dine-in", "table_number": random.randint(1, 20)}
    door = {"order_type": "delivery", "delivery_address": "123 Main St, City, State 12345"}
    counter = {"order_type": "takeout"}
    plain: list[Mapping[str, Any]] = [{"items": [MARGHERITA]}, {"items": [PASTA, SALAD]}]
    large: Mapping[str, Any] = {"items": [FEAST]}
    urgent: list[Mapping[str, Any]] = [
        {"items": [STEAK], "rush": True},
        {"items": [MARGHERITA], "customer_type": "vip"},
        {"items": [{**FEAST, "quantity": 8}]},
    ]
    kinds: list[dict[str, Any]] = [counter, table, door]
    wishes = [(kind, dish) for kind in kinds for dish in plain]
    wishes += [(kind, large) for kind in kinds]
    wishes += list(zip(kinds, urgent, strict=True))
    for name, (kind, dish) in zip(names, wishes, strict=True):
        yield {"customer_name": f"{name} {time.time_ns() % 100_000:05d}", **kind, **dish}


def place(client: Client, order: Mapping[str, Any], find: Callable[[str], str | None]) -> Ticket:
    """Place one order, once. `find` gives the number of the order of a customer, as staff would.

    It is asked when the answer was lost: the API cannot tell a second try from a second order yet.
    """
    while True:
        try:
            answer = client.post("/orders", order)
        except AnswerLost:
            time.sleep(1)  # what was under way when the connection broke has ended by now
            number = find(order["customer_name"])
            if number is None:
                continue
            answer = client.get(f"/orders/{number}/status") | {"order_number": number}
        return Ticket(answer["order_number"], order["order_type"], answer["priority"])


def follow(client: Client, tickets: list[Ticket], show: Callable[[Ticket | None], None]) -> None:
    """Look at the orders until all are ready; `show` gets each that changed, None each round."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting := [ticket for ticket in tickets if ticket.status != "ready"]:
        for ticket in waiting:
            now = client.get(f"/orders/{ticket.number}/status")
            if now["current_status"] != ticket.status:
                ticket.status, ticket.cook = now["current_status"], now["processed_by"] or ""
                ticket.history = client.get(f"/orders/{ticket.number}/history")
                show(ticket)
        show(None)
        if time.monotonic() > deadline:
            numbers = ", ".join(ticket.number for ticket in waiting)
            raise RushFailed(f"Not ready after {PATIENCE_SECONDS:.0f} s: {numbers}.")
        time.sleep(LOOK_SECONDS)


def verify(client: Client, tickets: list[Ticket]) -> str:
    """Read all histories again and give the verdict; RushFailed if one was lost or doubled."""
    if len({ticket.number for ticket in tickets}) != len(tickets):
        raise RushFailed("Two orders were given the same number.")
    taken_over = 0
    for ticket in tickets:
        ticket.history = client.get(f"/orders/{ticket.number}/history")
        statuses = [row["status"] for row in ticket.history]
        for status in ("received", "ready"):
            if statuses.count(status) != 1:
                raise RushFailed(
                    f"{ticket.number} was {status} {statuses.count(status)} times instead of once."
                )
        if "cooking" not in statuses:
            raise RushFailed(f"{ticket.number} is ready and was never cooked.")
        taken_over += statuses.count("cooking") - 1
    verdict = f"Checked: {len(tickets)} orders, each received once, cooked and ready once."
    if taken_over:
        verdict += f" {taken_over} taken over from a cook that had gone."
    return verdict
