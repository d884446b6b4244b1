"""Orders at the prices of the menu, for the cooks who can prepare them."""

from __future__ import annotations

import logging
from contextlib import nullcontext

from pizza.audit import Subject, record_change
from pizza.database.connection import BoundedConnection
from pizza.domain.actor import Actor
from pizza.domain.errors import InvalidOrder
from pizza.domain.menu import menu_errors, with_menu_prices
from pizza.domain.order import ClientQuota, IdempotencyKey, OrderDraft, PlacedOrder
from pizza.menu import Menu, MenuCache
from pizza.orders import orders
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)


class OrderPlacement:
    """Places orders with a copy of the menu in memory. Thread-safe; one for each process."""

    def __init__(self, base_seconds: float) -> None:
        """base_seconds: the cooking time of a takeout."""
        self._base_seconds = base_seconds
        self._menu = MenuCache()

    def place(
        self,
        conn: BoundedConnection,
        draft: OrderDraft,
        *,
        key: IdempotencyKey | None,
        client: ClientQuota | None,
        menu_prices: bool,
        deviator: Actor | None = None,
    ) -> PlacedOrder:
        """Place an order; an item without a price gets the menu's.

        menu_prices: each item must be on the menu, at the menu's price. deviator: the member of
        staff who may deviate from it, which the audit log records.
        Raises InvalidOrder if the order costs too much, and what pizza.orders.orders.place_order
        raises.
        """

        def place(menu: Menu) -> PlacedOrder:
            priced = with_menu_prices(draft, menu.prices)
            with nullcontext() if deviator is None else conn.transaction():
                order = orders.place_order(
                    conn,
                    priced,
                    base_seconds=self._base_seconds,
                    menu=menu.tags,
                    key=key,
                    client=client,
                    menu_prices=menu_prices and deviator is None,
                )
                if deviator is not None and not order.replayed:
                    _record_deviation(conn, order, priced, menu, deviator)
            return order

        try:
            return place(self._menu.read(conn))
        except InvalidOrder:
            # The menu may have changed since it was read.
            if all(item.price is not None for item in draft.items):
                raise
            return place(self._menu.read(conn, fresh=True))


def _record_deviation(
    conn: BoundedConnection, order: PlacedOrder, draft: OrderDraft, menu: Menu, actor: Actor
) -> None:
    """Record in the audit log what the menu has differently, in the order's transaction."""
    sold = {each.field: each.message for each in menu_errors(draft, menu.prices)}
    if not sold:
        return
    record_change(conn, actor, "prices_deviated", Subject("order", order.number), after=sold)
    text = "Order has other prices than the menu"
    log_action(log.info, "prices_deviate", text, sold, order_number=order.number)
