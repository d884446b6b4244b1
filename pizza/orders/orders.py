"""Taking orders, and telling where they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.connection import BoundedConnection
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
from pizza.domain.status import STATUSES
from pizza.orders import storage as orders
from pizza.topology import ORDERS_TOPIC, TYPED_QUEUES

Connection = psycopg.Connection[Any]

ORDER_SERVICE = "order-service"

MOST_LISTED, LISTED = 500, 50
_NUMBER = re.compile(r"ORD_[0-9]{8}_[0-9]{3,8}")

# An order has to be begun within this share of the time that its connection waits for the answer:
# what a hung server took up later would be stored after the guest was sent away.
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
    """Take a valid order: priced, prioritised, numbered and stored with its task and messages.

    deadline: after this moment (UTC) the order is not stored any more; the caller has
        given its own client an answer by then.
    base_seconds: the cooking time of a takeout.
    menu: the keys of dish names and their tags, so that specialised cooks know it for theirs.
    source: the message from outside that it comes from; by: who takes it.
    key: under which the order is placed only once; the second time the first one comes back,
        as it was placed, whatever has happened since.
    client: who may hold only so many places of the kitchen at a time.
    menu_prices: each item has to be on the menu, at the menu's price, when the order is stored.
    Raises PricesDiffer, CapacityReached, ClientLimitReached, KitchenPaused, SoldOut,
    DuplicateOrder, IdempotencyKeyReused, IdempotencyConflict, DatabaseUnavailable.
    """
    if not menu_prices and any(item.price is None for item in draft.items):
        raise PricesDiffer([
            menu_error(index, item.name, on_menu=False, price=None)
            for index, item in enumerate(draft.items) if item.price is None
        ])  # fmt: skip
    total = draft.total
    verdict, placed = orders.place(
        conn,
        draft,
        first=assign_priority(_priority_inputs(draft, total, repeat=False)),
        repeat=assign_priority(_priority_inputs(draft, total, repeat=True)),
        vip=assign_priority(_priority_inputs(draft, total, repeat=True, vip=True)),
        needs=required_tags((item.name for item in draft.items), menu)
        if menu is not None
        else None,
        source=source,
        cooking=timedelta(seconds=cooking_seconds(draft.order_type, base_seconds)),
        queue=TYPED_QUEUES[draft.order_type],
        exchange=ORDERS_TOPIC,
        changed_by=by,
        deadline=_begin_by(conn, deadline),
        key=key,
        client=client,
        menu_prices=menu_prices,
    )
    if isinstance(placed, PlacedOrder):
        return placed
    if verdict == "other prices":
        raise PricesDiffer(_menu_errors(draft, placed or "[]"))
    raise _refusal(verdict, placed)


def _menu_errors(draft: OrderDraft, found: str) -> list[FieldError]:
    """found: what the SQL function menu_price_errors answers."""
    return [
        menu_error(
            each["index"],
            draft.items[each["index"]].name,
            on_menu=each["dish"],
            price=None if each["price"] is None else Decimal(each["price"]),
        )
        for each in json.loads(found)
    ]


def _refusal(verdict: str, why: str | None) -> Exception:
    match verdict:
        case "full" | "client full" | "network full":
            return _no_place(verdict, int(why or 0))
        case "paused":
            return KitchenPaused(why)
        case "sold out":
            return SoldOut(why or "")
        case "twice":
            return DuplicateOrder(why or "")
        case "key reused" | "in flight":
            return IdempotencyKeyReused() if verdict == "key reused" else IdempotencyConflict()
    return DatabaseUnavailable("PostgreSQL came to this order too late; it is not stored")


def _no_place(verdict: str, limit: int) -> Exception:
    if verdict == "full":
        return CapacityReached(limit)
    return ClientLimitReached(limit, network=verdict == "network full")


def _begin_by(conn: Connection, deadline: datetime | None) -> datetime | None:
    """The deadline by the server's clock, which judges it; ours may be another."""
    if not isinstance(conn, BoundedConnection) or (patience := conn.remaining) is None:
        return deadline
    latest = datetime.now(UTC) + timedelta(seconds=patience * _BEGUN_WITHIN)
    return (min(deadline, latest) if deadline else latest) + conn.clock_offset


def _priority_inputs(
    draft: OrderDraft, total: Decimal, *, repeat: bool, vip: bool = False
) -> PriorityInputs:
    return PriorityInputs(
        vip=vip or draft.customer_type == VIP,
        rush=draft.rush,
        total=total,
        repeat=repeat,
        override=draft.priority,
    )


def checked_number(number: str) -> str:
    """The order number, if it looks like one. Raises OrderNotFound."""
    # It may be anything, NUL included, which the database would choke on.
    if not _NUMBER.fullmatch(number):
        raise OrderNotFound(number[:40])
    return number


def whole_order(conn: Connection, number: str) -> Order:
    """An order with its items, its customer and its times. Raises OrderNotFound."""
    return orders.get_order(conn, checked_number(number))


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
        return orders.list_orders(
            conn, status=status, order_type=order_type, limit=limit, before=before
        )
    except OrderNotFound:
        raise InvalidRequest([unknown]) from None


def order_status(conn: Connection, number: str) -> OrderStatus:
    """Where an order stands. Raises OrderNotFound."""
    return orders.status(conn, number)


def order_history(conn: Connection, number: str) -> list[StatusChange]:
    """An order's changes of status, oldest first. Raises OrderNotFound."""
    return orders.history(conn, number)


def set_capacity(conn: Connection, max_concurrent: int) -> None:
    """Set how many orders may be received or cooking at a time (0: as many as come)."""
    orders.set_capacity(conn, max_concurrent)
