"""Place an order, read one, list them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pizza.database.connection import BoundedConnection, Connection
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import (
    CapacityReached,
    ClientLimitReached,
    DuplicateOrder,
    FieldError,
    IdempotencyConflict,
    IdempotencyKeyReused,
    InvalidRequest,
    KitchenPaused,
    OrderNotFound,
    PricesDiffer,
    SoldOut,
)
from pizza.domain.estimate import BASE_SECONDS, cooking_seconds
from pizza.domain.menu import menu_error, required_tags
from pizza.domain.order import (
    ORDER_TYPES,
    VIP,
    ClientQuota,
    IdempotencyKey,
    Order,
    OrderDraft,
    OrderStatus,
    OrderSummary,
    PlacedOrder,
    StatusChange,
)
from pizza.domain.priority import PriorityInputs, assign_priority
from pizza.domain.status import RECEIVED, STATUSES
from pizza.orders import storage
from pizza.taskqueue import trace
from pizza.topology import ORDERS_TOPIC, TYPED_QUEUES

ORDER_SERVICE = "order-service"

MOST_LISTED, LISTED = 500, 50
_NUMBER = re.compile(r"ORD_[0-9]{8}_[0-9]{3,8}")

# An order has to reach the server within this share of the time that its connection waits for the
# answer. A server that hung would otherwise store it after its client got an error.
_BEGUN_WITHIN = 0.5


def place_order(
    conn: Connection,
    draft: OrderDraft,
    *,
    deadline: datetime | None = None,
    base_seconds: float = BASE_SECONDS,
    menu: Mapping[str, str] | None = None,
    source: UUID | None = None,
    by: str = ORDER_SERVICE,
    key: IdempotencyKey | None = None,
    client: ClientQuota | None = None,
    menu_prices: bool = False,
) -> PlacedOrder:
    """Place a valid order: store it with its priority, its number, its task and its messages.

    deadline: the order is not stored after this time (UTC); the caller has stopped waiting by then.
    base_seconds: the cooking time of a takeout.
    menu: tags by the keys of dish names; None: every cook may take the order.
    source: the message of another program from which it comes. by: who places it, for its log.
    key: places the order once; a repetition returns it as it was placed.
    client: whose open orders are limited.
    menu_prices: each item has to be on the menu, at the menu's price, when the order is stored.
    Raises PricesDiffer, CapacityReached, ClientLimitReached, KitchenPaused, SoldOut,
    DuplicateOrder, IdempotencyKeyReused, IdempotencyConflict, DatabaseUnavailable.
    """
    unpriced = [
        menu_error(index, item.name, on_menu=False, price=None)
        for index, item in enumerate(draft.items)
        if item.price is None
    ]
    if unpriced and not menu_prices:
        raise PricesDiffer(unpriced)
    row = storage.insert_order(
        conn,
        draft,
        priorities=_priorities(draft),
        required_tags=None if menu is None else required_tags(draft.items, menu),
        source_id=source,
        cooking_seconds=cooking_seconds(draft.order_type, base_seconds),
        queue=TYPED_QUEUES[draft.order_type],
        exchange=ORDERS_TOPIC,
        changed_by=by,
        traceparent=trace.current(),
        expires_at=_begin_by(conn, deadline),
        menu_prices=menu_prices,
        key=key,
        client=client,
    )
    if row["verdict"] not in ("placed", "replayed"):
        raise _refusal(draft, row)
    return PlacedOrder(
        number=row["number"],
        id=row["order_id"],
        status=RECEIVED,
        total_amount=row["total_amount"],
        priority=row["priority"],
        priority_rule=row["rule"],
        order_type=draft.order_type,
        customer_name=draft.customer_name,
        created_at=row["created_at"],
        estimated_completion=row["estimated_completion"],
        replayed=row["verdict"] == "replayed",
    )


def _priorities(draft: OrderDraft) -> dict[str, dict[str, Any]]:
    """The priorities of a new customer, of one who has ordered before, and of a VIP."""
    is_vip, total = draft.customer_type == VIP, draft.total
    cases = {"new": (is_vip, False), "repeat": (is_vip, True), "vip": (True, True)}
    found = {}
    for case, (vip, repeat) in cases.items():
        inputs = PriorityInputs(vip, draft.rush, total, repeat, override=draft.priority)
        given = assign_priority(inputs)
        found[case] = {"priority": given.priority, "rule": given.rule}
    return found


# By the verdict of the SQL function order_place.
_REFUSALS: dict[str, Callable[[dict[str, Any]], Exception]] = {
    "full": lambda row: CapacityReached(int(row["rule"])),
    "client full": lambda row: ClientLimitReached(int(row["rule"])),
    "network full": lambda row: ClientLimitReached(int(row["rule"]), network=True),
    "paused": lambda row: KitchenPaused(row["rule"]),
    "sold out": lambda row: SoldOut(row["rule"]),
    "twice": lambda row: DuplicateOrder(row["number"]),
    "key reused": lambda row: IdempotencyKeyReused(),
    "in flight": lambda row: IdempotencyConflict(),
    "late": lambda row: DatabaseUnavailable(
        "PostgreSQL came to this order too late; it is not stored"
    ),
}


def _refusal(draft: OrderDraft, row: dict[str, Any]) -> Exception:
    if row["verdict"] == "other prices":
        return PricesDiffer(_menu_errors(draft, row["rule"]))
    return _REFUSALS[row["verdict"]](row)


def _menu_errors(draft: OrderDraft, found: str) -> list[FieldError]:
    """found: what the SQL function menu_price_errors returns."""
    return [
        menu_error(
            each["index"],
            draft.items[each["index"]].name,
            on_menu=each["dish"],
            price=None if each["price"] is None else Decimal(each["price"]),
        )
        for each in json.loads(found)
    ]


def _begin_by(conn: Connection, deadline: datetime | None) -> datetime | None:
    """The deadline by the clock of the server, which checks it; ours may differ."""
    if not isinstance(conn, BoundedConnection) or (patience := conn.remaining) is None:
        return deadline
    latest = datetime.now(UTC) + timedelta(seconds=patience * _BEGUN_WITHIN)
    return (min(deadline, latest) if deadline else latest) + conn.clock_offset


def validate_number(number: str) -> str:
    """The order number, if it looks like one. Raises OrderNotFound."""
    # It may be anything, NUL included, which the database would choke on.
    if not _NUMBER.fullmatch(number):
        raise OrderNotFound(number[:40])
    return number


def get_order(conn: Connection, number: str) -> Order:
    """An order with its items, its customer and its times. Raises OrderNotFound."""
    return storage.get_order(conn, validate_number(number))


def list_orders(
    conn: Connection,
    *,
    status: str | None = None,
    order_type: str | None = None,
    limit: int = LISTED,
    before: str | None = None,
) -> list[OrderSummary]:
    """Orders, newest first; `before` is the number of the last one of the page before.

    Raises InvalidRequest with one entry for each parameter that makes no sense.
    """
    errors = []
    if status is not None and status not in STATUSES:
        errors.append(FieldError("status", f"must be one of {', '.join(STATUSES)}"))
    if order_type is not None and order_type not in ORDER_TYPES:
        errors.append(FieldError("type", f"must be one of {', '.join(ORDER_TYPES)}"))
    if not 1 <= limit <= MOST_LISTED:
        errors.append(FieldError("limit", f"must be from 1 to {MOST_LISTED}"))
    unknown = FieldError("before", "must be the number of an order")
    if before is not None and not _NUMBER.fullmatch(before):
        errors.append(unknown)
    if errors:
        raise InvalidRequest(errors)
    try:
        return storage.list_orders(
            conn, status=status, order_type=order_type, limit=limit, before=before
        )
    except OrderNotFound:
        raise InvalidRequest([unknown]) from None


def order_status(conn: Connection, number: str) -> OrderStatus:
    """Where an order stands. Raises OrderNotFound."""
    return storage.get_status(conn, number)


def order_history(conn: Connection, number: str) -> list[StatusChange]:
    """An order's changes of status, oldest first. Raises OrderNotFound."""
    return storage.list_status_changes(conn, number)
