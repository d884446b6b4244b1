"""An order: what a customer may ask for, the rules it must keep, and what the restaurant answers.

The limits are those of the specification's tables (`varchar(100)`, `decimal(8,2)`,
`decimal(10,2)`) and of decisions.md. They stand here once; the HTTP schema reads them from here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pizza.domain.errors import FieldError

DINE_IN, TAKEOUT, DELIVERY = "dine-in", "takeout", "delivery"
ORDER_TYPES = (DINE_IN, TAKEOUT, DELIVERY)
REGULAR, VIP = "regular", "vip"
CUSTOMER_TYPES = (REGULAR, VIP)

NAME_LENGTH = 100
MAX_ITEMS = 100
MAX_QUANTITY = 1_000
MAX_PRICE = Decimal("999999.99")
MAX_TOTAL = Decimal("99999999.99")
MAX_TABLE = 9_999
MIN_PRIORITY, MAX_PRIORITY = 1, 10
ADDRESS_MIN, ADDRESS_MAX = 5, 200

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One line of an order; `price` is for a single piece, with at most two decimal places."""

    name: str
    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """An order as asked for, before the restaurant took it. Text is kept exactly as given."""

    customer_name: str
    items: tuple[OrderItem, ...]
    customer_type: str = REGULAR
    order_type: str = TAKEOUT
    table_number: int | None = None
    delivery_address: str | None = None
    rush: bool = False
    priority: int | None = None

    @property
    def total(self) -> Decimal:
        """The exact sum with two places (15.99 + 8.99 = 24.98), for a draft that `check` passes."""
        whole = sum((item.price * item.quantity for item in self.items), Decimal(0))
        return whole.quantize(_CENT)


def normal_price(price: Decimal) -> Decimal:
    """Write a sound price with two places: 26 and 2.6E+1 become 26.00, -0 becomes 0.00."""
    return (price + 0).quantize(_CENT)  # the sum has no sign of its own when it is zero


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order the restaurant took; `priority_rule` says which rule gave the priority.

    replayed: it was taken before, under the key that this request has too.
    """

    number: str
    status: str
    total_amount: Decimal
    priority: int
    priority_rule: str
    order_type: str
    customer_name: str
    created_at: datetime
    estimated_completion: datetime | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class RequestKey:
    """How a client marks the repetitions of one request: its key, and a digest of the body."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends an order: marks of client and network, and how many orders it may have at a time.

    places: None for a quarter of what the restaurant takes, rounded up."""

    mark: bytes
    places: int | None
    network: bytes | None = None


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """Where an order stands now; `version` grows by one with each change."""

    number: str
    status: str
    updated_at: datetime
    estimated_completion: datetime | None
    processed_by: str | None
    order_type: str
    priority: int
    completed_at: datetime | None = None
    version: int = 1
    stage: str | None = None
    rush: bool = False
    total_amount: Decimal = Decimal("0.00")
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderSummary:
    """One line of a list of orders."""

    number: str
    status: str
    stage: str | None
    customer_name: str
    order_type: str
    priority: int
    rush: bool
    total_amount: Decimal
    created_at: datetime
    updated_at: datetime
    estimated_completion: datetime | None
    completed_at: datetime | None
    processed_by: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as a whole; `promised_at` is the estimate that the guest was first told."""

    number: str
    status: str
    stage: str | None
    customer_name: str
    customer_type: str
    order_type: str
    table_number: int | None
    delivery_address: str | None
    total_amount: Decimal
    priority: int
    rush: bool
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    promised_at: datetime | None
    estimated_completion: datetime | None
    completed_at: datetime | None
    processed_by: str | None
    version: int
    items: tuple[OrderItem, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderMoved:
    """An order after a change by hand: what it is now, and its new version."""

    number: str
    status: str
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One row of an order's history."""

    status: str
    timestamp: datetime
    changed_by: str
    notes: str | None = None


def check(draft: OrderDraft) -> list[FieldError]:
    """Hold a draft against every rule; one entry for each bad field, none for a good order."""
    return list(_errors(draft))


def _errors(draft: OrderDraft) -> Iterator[FieldError]:
    if message := name_error(draft.customer_name):
        yield FieldError("customer_name", message)
    if draft.customer_type not in CUSTOMER_TYPES:
        yield FieldError("customer_type", f"must be one of {', '.join(CUSTOMER_TYPES)}")
    if draft.order_type not in ORDER_TYPES:
        yield FieldError("order_type", f"must be one of {', '.join(ORDER_TYPES)}")
    if message := _table_error(draft):
        yield FieldError("table_number", message)
    if message := _delivery_error(draft):
        yield FieldError("delivery_address", message)
    if draft.priority is not None and not _is_int(draft.priority, MIN_PRIORITY, MAX_PRIORITY):
        yield FieldError("priority", f"must be from {MIN_PRIORITY} to {MAX_PRIORITY}")
    item_errors = list(_item_errors(draft))
    yield from item_errors
    # Only sound prices have a total that means something.
    if not item_errors and draft.total > MAX_TOTAL:
        yield FieldError("items", f"cost more than {MAX_TOTAL} together")


def _item_errors(draft: OrderDraft) -> Iterator[FieldError]:
    if not 1 <= len(draft.items) <= MAX_ITEMS:
        yield FieldError("items", f"must be 1 to {MAX_ITEMS} items")
        return
    for index, item in enumerate(draft.items):
        if message := name_error(item.name):
            yield FieldError(f"items[{index}].name", message)
        if not _is_int(item.quantity, 1, MAX_QUANTITY):
            yield FieldError(f"items[{index}].quantity", f"must be from 1 to {MAX_QUANTITY}")
        if message := price_error(item.price):
            yield FieldError(f"items[{index}].price", message)


def _table_error(draft: OrderDraft) -> str | None:
    if draft.order_type == DINE_IN:
        if draft.table_number is None:
            return "is required for a dine-in order"
        if not _is_int(draft.table_number, 1, MAX_TABLE):
            return f"must be from 1 to {MAX_TABLE}"
    elif draft.table_number is not None and draft.order_type in ORDER_TYPES:
        # A table on a takeout is a mistake somewhere; guessing which half is meant costs a meal.
        return f"must be left out of a {draft.order_type} order"
    return None


def _delivery_error(draft: OrderDraft) -> str | None:
    if draft.order_type == DELIVERY:
        if draft.delivery_address is None:
            return "is required for a delivery order"
        return address_error(draft.delivery_address)
    if draft.delivery_address is not None and draft.order_type in ORDER_TYPES:
        return f"must be left out of a {draft.order_type} order"
    return None


def words_error(text: str, longest: int) -> str | None:
    """Say what is wrong with a name of who did something, or with a reason for the log, or None."""
    if not 1 <= len(text) <= longest:
        return f"must be 1 to {longest} characters long"
    if not text.isprintable():
        return "must be printable characters in one line"
    return None if text.strip() else "must not be blank"


def price_error(price: Decimal) -> str | None:
    """Say what is wrong with a price, or None. `26`, `26.0` and `26.000` are the same price."""
    if not price.is_finite():
        return "must be a finite number"
    if not 0 <= price <= MAX_PRICE:
        return f"must be from 0 to {MAX_PRICE}"
    # In this range only the digits behind the second place can make the difference.
    if price.as_tuple().exponent < -2 and price % _CENT:  # type: ignore[operator]
        return "must have at most two decimal places"
    return None


def name_error(text: str) -> str | None:
    """Say what is wrong with a name, or None. Emoji, any script, newline and tab are legal."""
    if not 1 <= len(text) <= NAME_LENGTH:
        return f"must be 1 to {NAME_LENGTH} characters long"
    if text.isprintable():
        return None if text.strip() else "must not be blank"
    kinds = [unicodedata.category(char) for char in text if char not in "\n\t"]
    if "Cc" in kinds:
        return "must not contain control characters"
    if "Cs" in kinds:
        return "must be valid Unicode text"
    if all(kind in ("Zs", "Zl", "Zp", "Cf") for kind in kinds):
        return "must not be blank"
    return None


def address_error(text: str) -> str | None:
    """Say what is wrong with an address, or None (decisions.md, "valid address format")."""
    if not ADDRESS_MIN <= len(text) <= ADDRESS_MAX:
        return f"must be {ADDRESS_MIN} to {ADDRESS_MAX} characters long"
    kinds = [unicodedata.category(char) for char in text]
    if not {"Cc", "Cs", "Zl", "Zp"}.isdisjoint(kinds):
        return "must be printable characters in one line"
    if not any(char.isalpha() for char in text) or not any(char.isdecimal() for char in text):
        return "must have at least one letter and one digit"
    return None


def _is_int(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high
