"""The orders that are placed: all three types, all rules of priority, names that never repeat.

The same mix as a request, as a draft for the service, and as a script for pgbench.
"""

import itertools
import json
from decimal import Decimal
from typing import Any

from pizza.domain.order import OrderDraft, OrderItem

ITEMS = (("Margherita", 1, "15.99"), ("Diavola", 2, "8.00"))
WHERE: dict[str, dict[str, Any]] = {
    "takeout": {},
    "dine-in": {"table_number": 5},
    "delivery": {"delivery_address": "12 Main Street"},
}
RUSH_EVERY = 7
KINDS = RUSH_EVERY * len(WHERE)  # so many orders in a row are the whole mix
_NUMBERS = itertools.count(1)

_HEAD = (
    "POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
)


def template(order_type: str, rush: bool, header: str = "") -> bytes:
    """A request with a placeholder of eight digits for the number; `header` may have another."""
    items = ",".join(f'{{"name":"{n}","quantity":{q},"price":{p}}}' for n, q, p in ITEMS)
    more = json.dumps({"order_type": order_type, "rush": rush} | WHERE[order_type])[1:-1]
    body = f'{{"customer_name":"Guest %08d","items":[{items}],{more}}}'
    length = len(body) - len("%08d") + 8
    return f"{_HEAD}{length}\r\n{header}\r\n{body}".encode()


_REQUESTS = [
    template(order_type, rush=turn == 0) for turn in range(RUSH_EVERY) for order_type in WHERE
]


def request() -> bytes:
    """The next order as an HTTP/1.1 request."""
    customer = next(_NUMBERS)
    return _REQUESTS[customer % len(_REQUESTS)] % customer


def draft() -> OrderDraft:
    """The next order as the service takes it."""
    customer = next(_NUMBERS)
    order_type = list(WHERE)[customer % len(WHERE)]
    return OrderDraft(
        f"Guest {customer:08d}",
        tuple(OrderItem(name, quantity, Decimal(price)) for name, quantity, price in ITEMS),
        order_type=order_type,
        rush=customer // len(WHERE) % RUSH_EVERY == 0,
        **WHERE[order_type],
    )
