"""Changes by staff: cancel, hand over, send back, another priority; each against one version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.domain.errors import (
    IllegalTransition,
    InvalidOrder,
    KitchenPaused,
    OrderNotFound,
    ReasonRequired,
    SoldOut,
    VersionConflict,
)
from pizza.domain.order import OrderDraft, OrderItem
from pizza.domain.status import CUSTOMER, STAFF
from pizza.kitchen import storage as kitchen
from pizza.menu import storage as menu
from pizza.orders import actions, orders, set_capacity


@pytest.fixture(autouse=True)
def _capacity_and_stations(conn: BoundedConnection) -> None:
    set_capacity(conn, 50)
    kitchen.set_stations(conn, ["quality", "packaging", "courier"])


def place(conn: BoundedConnection, **changes: object) -> str:
    draft = {"customer_name": "Jo", "items": (OrderItem("Pizza", 1, Decimal("9.00")),), **changes}
    return orders.place_order(conn, OrderDraft(**draft)).number  # type: ignore[arg-type]


def free(conn: BoundedConnection) -> int:
    return conn.execute("select sum(free)::int from kitchen_capacity").fetchone()[0]


def set_status(conn: BoundedConnection, number: str, status: str, stage: str | None) -> None:
    conn.execute(
        "update orders set status = %s, stage = %s where number = %s", [status, stage, number]
    )


def tasks(conn: BoundedConnection) -> list[tuple]:
    return conn.execute(
        "select task, queue, priority from message where task is not null"
    ).fetchall()


def log(conn: BoundedConnection, number: str) -> list[tuple]:
    return [(row.status, row.changed_by, row.notes) for row in orders.order_history(conn, number)]


def test_a_customer_cancels_while_nothing_has_begun(conn: BoundedConnection) -> None:
    number = place(conn)
    moved = actions.transition_order(conn, number, "cancelled", by="Jo", role=CUSTOMER)
    assert (moved.status, moved.version) == ("cancelled", 2)
    assert tasks(conn) == []
    assert free(conn) == 50
    assert log(conn, number)[-1] == ("cancelled", "Jo", None)


def test_only_staff_cancels_a_cooking_order_with_a_reason(conn: BoundedConnection) -> None:
    number = place(conn)
    set_status(conn, number, "cooking", "kitchen")
    with pytest.raises(IllegalTransition) as refused:
        actions.transition_order(conn, number, "cancelled", by="Jo", role=CUSTOMER)
    assert refused.value.allowed == ()
    with pytest.raises(ReasonRequired):
        actions.transition_order(conn, number, "cancelled", by="boss", role=STAFF)
    actions.transition_order(conn, number, "cancelled", by="boss", role=STAFF, reason="guest left")
    assert free(conn) == 50
    assert log(conn, number)[-1] == ("cancelled", "boss", "staff: guest left")


def test_a_delivered_order_is_at_no_stage(conn: BoundedConnection) -> None:
    number = place(conn)
    set_status(conn, number, "ready", "handover")
    assert actions.transition_order(conn, number, "delivered", by="waiter").status == "delivered"
    assert conn.execute("select stage from orders").fetchone() == (None,)
    with pytest.raises(IllegalTransition):
        actions.transition_order(conn, number, "delivered", by="waiter")


def test_what_is_sent_back_waits_again_before_all_others(conn: BoundedConnection) -> None:
    number = place(conn)
    conn.execute("delete from message where task is not null")
    conn.execute("update kitchen_capacity set free = free + 1 where stripe = 0")
    set_status(conn, number, "ready", "quality")
    moved = actions.transition_order(conn, number, "received", by="inspector", reason="cold")
    assert moved.status == "received"
    assert tasks(conn) == [("cook_order", "kitchen_takeout_queue", 10)]
    assert free(conn) == 49
    assert log(conn, number)[-1] == ("received", "inspector", "staff: cold")


def test_a_priority_moves_the_waiting_message_and_is_in_the_log(conn: BoundedConnection) -> None:
    number = place(conn)
    actions.set_priority(conn, number, 9, by="boss", reason="critic at table")
    assert tasks(conn) == [("cook_order", "kitchen_takeout_queue", 9)]
    assert log(conn, number)[-1] == (
        "received",
        "boss",
        "priority 1 → 9: manual override: critic at table",
    )
    with pytest.raises(InvalidOrder):
        actions.set_priority(conn, number, 11, by="boss", reason="x")
    set_status(conn, number, "ready", "quality")
    with pytest.raises(IllegalTransition):
        actions.set_priority(conn, number, 1, by="boss", reason="x")


def test_a_change_of_what_has_changed_is_refused(conn: BoundedConnection) -> None:
    number = place(conn)
    actions.set_priority(conn, number, 9, by="boss", reason="x", version=1)
    with pytest.raises(VersionConflict) as conflict:
        actions.transition_order(conn, number, "cancelled", by="Jo", version=1)
    assert conflict.value.current == 2
    with pytest.raises(OrderNotFound):
        actions.transition_order(conn, "ORD_20000101_001", "cancelled", by="Jo")


def test_of_many_who_cancel_at_once_one_does(db_url: str, conn: BoundedConnection) -> None:
    numbers = [place(conn) for _ in range(5)]

    def cancel(turn: int) -> int:
        with connect(db_url, name="test") as mine:
            try:
                actions.transition_order(mine, numbers[turn % 5], "cancelled", by=f"guest {turn}")
            except IllegalTransition:
                return 0
            return 1

    with ThreadPoolExecutor(20) as crowd:
        assert sum(crowd.map(cancel, range(20))) == 5
    assert free(conn) == 50


def test_a_sold_out_dish_is_refused_by_name(conn: BoundedConnection) -> None:
    menu.set_sold_out(conn, "steak", True)
    with pytest.raises(SoldOut) as refused:
        place(conn, items=(OrderItem("STEAK", 1, Decimal("25.99")),))
    assert str(refused.value) == "Sold out today: Steak."
    assert free(conn) == 50
    menu.set_sold_out(conn, "Steak", False)
    assert place(conn, items=(OrderItem("Steak", 1, Decimal("25.99")),))


def test_a_paused_kitchen_takes_nothing(conn: BoundedConnection) -> None:
    kitchen.set_paused(conn, True, "no gas", "boss")
    with pytest.raises(KitchenPaused) as refused:
        place(conn)
    assert "no gas" in str(refused.value)
    kitchen.set_paused(conn, False, None, "boss")
    assert place(conn)


def test_a_vip_is_known_again(conn: BoundedConnection) -> None:
    first = place(conn, customer_name="Grace H", customer_type="vip")
    second = place(conn, customer_name="grace  h")
    rows = conn.execute("select number, priority, customer_type from orders").fetchall()
    assert set(rows) == {(first, 10, "vip"), (second, 10, "vip")}
