"""Orders: drafts, the rules that a draft must keep, and the values that describe placed orders.

The limits are those of the specification's tables (`varchar(100)`, `decimal(8,2)`,
`decimal(10,2)`) and of docs/decisions.md. The HTTP schema reads them from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from uuid import UUID

from pizza.domain.errors import FieldError
from pizza.domain.names import address_error, fold_name, name_error

DINE_IN, TAKEOUT, DELIVERY = "dine-in", "takeout", "delivery"
ORDER_TYPES = (DINE_IN, TAKEOUT, DELIVERY)
REGULAR, VIP = "regular", "vip"
CUSTOMER_TYPES = (REGULAR, VIP)

MAX_ITEMS = 100
MAX_QUANTITY = 1_000
MAX_PRICE = Decimal("999999.99")
MAX_TOTAL = Decimal("99999999.99")
MAX_TABLE = 9_999
MIN_PRIORITY, MAX_PRIORITY = 1, 10

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class OrderItem:
    """An item of an order. price: for a single piece, with at most two decimal places.

    price: None in a draft that takes the menu's price (pizza.domain.menu.with_menu_prices).
    """

    name: str
    quantity: int
    price: Decimal | None

    @cached_property
    def key(self) -> str:
        """The key of its name, as the menu has it."""
        return fold_name(self.name)


@dataclass(frozen=True)
class OrderDraft:
    """An order before it is placed. Text is kept exactly as given."""

    customer_name: str
    items: tuple[OrderItem, ...]
    customer_type: str = REGULAR
    order_type: str = TAKEOUT
    table_number: int | None = None
    delivery_address: str | None = None
    rush: bool = False
    priority: int | None = None

    @cached_property
    def total(self) -> Decimal:
        """The exact sum with two places (15.99 + 8.99 = 24.98), for a draft that passes `validate`.

        Items without a price count as 0.
        """
        whole = sum((item.price * item.quantity for item in self.items if item.price), Decimal(0))
        return whole.quantize(_CENT)


def normalize_price(price: Decimal) -> Decimal:
    """A valid price with two decimal places: 26 and 2.6E+1 become 26.00, -0 becomes 0.00."""
    return (price + 0).quantize(_CENT)  # adding 0 turns -0 into 0


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """A stored order. priority_rule: the name of the rule that gave the priority.

    replayed: it was placed before, with the same idempotency key.
    """

    number: str
    id: UUID
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
class IdempotencyKey:
    """The Idempotency-Key of a request, and the SHA-256 digest of its body."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class ClientQuota:
    """The limit of received and cooking orders of one client.

    client_hash, network_hash: keyed hashes of its address and its network. limit: None for a
    quarter of the restaurant's capacity, rounded up.
    """

    client_hash: bytes
    limit: int | None
    network_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """The current status of an order; `version` grows by one with each change."""

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
    """An order in a list."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order with all its fields. promised_at: the first estimate of its completion."""

    number: str
    status: str
    stage: str | None
    customer_name: str
    customer_type: str
    order_type: str
    table_number: int | None
    delivery_address: str | None
    items: tuple[OrderItem, ...] = ()
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


@dataclass(frozen=True, slots=True)
class UpdatedOrder:
    """An order after a staff action: its status and its new version."""

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


def validate(draft: OrderDraft) -> list[FieldError]:
    """The violations of all rules; one entry for each bad field, none for a valid draft."""
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
    # The total is meaningful only with valid prices.
    if not item_errors and (message := total_error(draft)):
        yield FieldError("items", message)


def _item_errors(draft: OrderDraft) -> Iterator[FieldError]:
    if not 1 <= len(draft.items) <= MAX_ITEMS:
        yield FieldError("items", f"must be 1 to {MAX_ITEMS} items")
        return
    for index, item in enumerate(draft.items):
        if message := name_error(item.name):
            yield FieldError(f"items[{index}].name", message)
        if not _is_int(item.quantity, 1, MAX_QUANTITY):
            yield FieldError(f"items[{index}].quantity", f"must be from 1 to {MAX_QUANTITY}")
        if item.price is not None and (message := price_error(item.price)):
            yield FieldError(f"items[{index}].price", message)


def total_error(draft: OrderDraft) -> str | None:
    """What is wrong with the total of a draft with valid items, or None."""
    return f"cost more than {MAX_TOTAL} together" if draft.total > MAX_TOTAL else None


def _table_error(draft: OrderDraft) -> str | None:
    if draft.order_type == DINE_IN:
        if draft.table_number is None:
            return "is required for a dine-in order"
        if not _is_int(draft.table_number, 1, MAX_TABLE):
            return f"must be from 1 to {MAX_TABLE}"
    elif draft.table_number is not None and draft.order_type in ORDER_TYPES:
        # Either the order type or the table is a mistake.
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


def price_error(price: Decimal) -> str | None:
    """What is wrong with a price, or None. `26`, `26.0` and `26.000` are the same price."""
    if not price.is_finite():
        return "must be a finite number"
    if not 0 <= price <= MAX_PRICE:
        return f"must be from 0 to {MAX_PRICE}"
    # Compared, not calculated with: 1e-999999999999999999 would be rounded to 0.
    return None if price == price.quantize(_CENT) else "must have at most two decimal places"


def _is_int(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def restricted_fields(draft: OrderDraft) -> list[FieldError]:
    """The fields of a draft that only staff may set."""
    restricted = (
        ("customer_type", draft.customer_type == VIP),
        ("rush", draft.rush),
        ("priority", draft.priority is not None),
    )
    return [FieldError(name, "is for staff") for name, is_set in restricted if is_set]
