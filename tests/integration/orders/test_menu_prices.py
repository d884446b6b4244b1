"""Orders that must have the menu's prices, on the real tables."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pizza.database.connection import BoundedConnection
from pizza.domain.errors import PricesDiffer
from pizza.domain.order import ClientQuota, IdempotencyKey, OrderDraft, OrderItem, PlacedOrder
from pizza.menu import dishes
from pizza.orders import orders

KEY = IdempotencyKey("a-key", b"a digest of the body")


def draft(*items: tuple[str, int, str | None]) -> OrderDraft:
    found = (OrderItem(name, n, Decimal(price) if price else None) for name, n, price in items)
    return OrderDraft("Jo", tuple(found))


def errors_of(conn: BoundedConnection, wanted: OrderDraft) -> dict[str, str]:
    with pytest.raises(PricesDiffer) as refusal:
        orders.place_order(conn, wanted, menu_prices=True)
    return {error.field: error.message for error in refusal.value.errors}


def place(conn: BoundedConnection, price: str, key: IdempotencyKey | None = None) -> PlacedOrder:
    wanted = draft(("STEAK", 2, price))
    return orders.place_order(
        conn, wanted, menu_prices=True, key=key, client=ClientQuota(b"one", 5)
    )


def test_the_menus_price_counts_in_every_spelling_of_the_dish(conn: BoundedConnection) -> None:
    assert place(conn, "25.99").total_amount == Decimal("51.98")


def test_another_price_is_refused_with_the_right_one_and_nothing_is_stored(
    conn: BoundedConnection,
) -> None:
    dishes.add_dish(conn, "Lobster", "grill", None)

    found = errors_of(conn, draft(
        ("Premium Steak", 3, "0.01"), ("Lasagne", 1, "14.20"), ("Unicorn flambé", 1, "999"),
        ("Lobster", 1, "1.00"), ("Steak", 1, None),
    ))  # fmt: skip

    assert found == {
        "items[0].price": "must be 45.99, the price of Premium Steak on the menu",
        "items[2].name": "Unicorn flambé is not on the menu",
        "items[3].price": "the price of Lobster is for our staff to say",
        "items[4].price": "must be 25.99, the price of Steak on the menu",
    }
    assert conn.execute("select count(*) from orders").fetchone() == (0,)
    assert (
        conn.execute("select sum(free) from kitchen_capacity").fetchone()
        == conn.execute("select max_concurrent::bigint from kitchen_state").fetchone()
    )


def test_a_price_that_changes_counts_for_the_next_order(conn: BoundedConnection) -> None:
    dishes.add_dish(conn, "Steak", "grill", Decimal("30.00"))

    assert errors_of(conn, draft(("Steak", 1, "25.99")))
    assert place(conn, "30.00").total_amount == Decimal("60.00")


def test_a_request_sent_again_is_answered_again_after_the_price_has_changed(
    conn: BoundedConnection,
) -> None:
    first = place(conn, "25.99", KEY)
    dishes.add_dish(conn, "Steak", "grill", Decimal("30.00"))

    again = place(conn, "25.99", KEY)

    assert again.replayed
    assert (again.number, again.id, again.total_amount) == (
        first.number,
        first.id,
        Decimal("51.98"),
    )


def test_without_the_menus_prices_any_price_is_accepted_but_one_is_required(
    conn: BoundedConnection,
) -> None:
    assert orders.place_order(conn, draft(("Unicorn flambé", 1, "0.01")))
    with pytest.raises(PricesDiffer, match="not on the menu"):
        orders.place_order(conn, draft(("Unicorn flambé", 1, None)))
