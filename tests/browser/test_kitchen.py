"""The kitchen's board: what it shows, and an order bumped through it by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.page_driver import PHONE, PageDriver
from ..support.waiting import Stopwatch, wait_until
from .test_track import placed, ready

_MANY = """
insert into orders (number, customer_name, customer_key, type, table_number, total_amount,
                    promised_at)
select 'ORD_20240101_' || 1000 + n, 'Guest ' || n, 'guest', 'dine-in', 1, 10,
       now() + interval '10 min'
from generate_series(1, 200) n returning 1
"""


@pytest.fixture(autouse=True)
def an_empty_board(house) -> Iterator[None]:
    """What other tests have left is no business of this one's."""
    clear = "update orders set status = 'delivered', in_kitchen = false returning 1"
    house.query(clear)
    yield
    house.query(clear)


def ticket(order: dict) -> str:
    return f".ticket[data-number={order['order_number']}]"


def status(house, order: dict) -> str:
    return house.request("GET", f"/orders/{order['order_number']}/status").json["current_status"]


def focus(visitor: PageDriver, order: dict) -> None:
    visitor.find(ticket(order))
    visitor.run(f"document.querySelector('{ticket(order)} article').focus()")


def test_a_new_order_shows_by_itself_with_its_badges_and_counts(house, visitor):
    visitor.go(house, "/kitchen")
    visitor.sees(".column[data-column=received] .number", "0")
    house.order({"customer_name": "Vera Vip", "customer_type": "vip", "rush": True,
                 "order_type": "dine-in", "table_number": 9,
                 "items": [{"name": "Lasagne", "quantity": 3, "price": 14.2}]})  # fmt: skip

    visitor.sees(".column[data-column=received] .ticket", "Vera Vip, table 9", 2)
    seen = visitor.text(".ticket")
    for words in ("VIP", "Rush", "dine-in", "priority 10", "3 × Lasagne", "due in"):
        assert words in seen
    assert visitor.text("#allday") == "3 × Lasagne"
    assert "Lasagne" not in visitor.text("#announcer") and "VIP, Rush" in visitor.find(
        "#announcer"
    ).get_attribute("textContent")


def test_what_is_still_to_cook_is_counted_by_dish_however_it_is_spelled(house, visitor):
    for name, quantity in ("Straße", 2), ("STRASSE", 1), ("Crème  brûlée", 1), ("crème Brûlée", 3):
        house.order({"customer_name": "Guest", "order_type": "dine-in", "table_number": 4,
                     "items": [{"name": name, "quantity": quantity, "price": 9}]})  # fmt: skip
    visitor.go(house, "/kitchen")
    visitor.sees(".column[data-column=received] .number", "4")
    visitor.sees("#allday", "4 × ")
    assert [each.text.split(" × ")[0] for each in visitor.all("#allday li")] == ["4", "3"]


def test_a_new_order_shows_within_a_second(house, visitor):
    visitor.go(house, "/kitchen")
    visitor.sees(".column[data-column=received] .number", "0")
    placed(house, "dine-in")  # the first look, and the stream, are there
    wait_until(lambda: len(visitor.all(".ticket")) == 1, 10, "it shows")
    watch = Stopwatch()
    order = placed(house, "dine-in")
    visitor.find(ticket(order))
    watch.assert_within(1.0)


def test_by_keyboard_orders_are_bumped_recalled_cancelled_and_a_bump_is_undone(house, visitor):
    kept, bumped, recalled = (ready(house, "takeout") for _ in range(3))
    waiting, urgent = placed(house, "dine-in"), placed(house, "dine-in")
    visitor.go(house, "/kitchen")

    focus(visitor, kept)
    visitor.press("b")
    visitor.sees("#undo", "Hand over")
    visitor.press("u")
    assert not visitor.find("#undo").is_displayed()
    focus(visitor, bumped)
    visitor.press("ENTER")
    focus(visitor, recalled)
    visitor.press("r")
    visitor.press(*"burnt", "ENTER")
    focus(visitor, waiting)
    visitor.press("c")
    visitor.press(*"fire", "ENTER")
    focus(visitor, urgent)
    visitor.press("p", "BACKSPACE", "7", "TAB", *"hungry", "ENTER")

    wait_until(lambda: status(house, bumped) == "delivered", 12, "it is handed over")
    assert status(house, kept) == "ready"
    history = f"/orders/{recalled['order_number']}/history"
    back = lambda: "staff: burnt" in [s["notes"] for s in house.request("GET", history).json]  # noqa: E731
    wait_until(back, 10, "it is sent back")
    wait_until(lambda: status(house, waiting) == "cancelled", 10, "it is cancelled")
    visitor.find(f"{ticket(waiting)}.cancelled")
    visitor.sees(ticket(urgent), "priority 7")


def test_a_move_that_came_too_late_says_so_on_its_ticket(house, visitor):
    order = ready(house, "takeout")
    visitor.go(house, "/kitchen")
    visitor.expect("412")
    focus(visitor, order)
    visitor.press("b")
    # Somebody at another board was faster.
    house.query("update orders set version = version + 1 where number = %s returning 1",
                order["order_number"])  # fmt: skip
    visitor.sees(f"{ticket(order)} .failed", "has changed", 12)
    assert status(house, order) == "ready"


def test_the_arrows_go_from_order_to_order(house, visitor):
    first, second = placed(house, "dine-in"), placed(house, "dine-in")
    done = ready(house, "takeout")
    visitor.go(house, "/kitchen")
    visitor.find(ticket(done))
    here = lambda: visitor.run(  # noqa: E731
        "return document.activeElement.closest('.ticket')?.dataset.number"
    )
    walked = []
    for key in ("ARROW_DOWN", "ARROW_DOWN", "ARROW_RIGHT", "ARROW_LEFT"):
        visitor.press(key)
        walked.append(here())
    numbers = [each["order_number"] for each in (first, second, done)]
    assert walked[:3] == numbers
    assert walked[3] == numbers[0]


def test_age_is_told_by_colour_and_by_words(house, visitor):
    order = placed(house, "dine-in")
    visitor.go(house, "/kitchen")
    visitor.find(f"{ticket(order)}[data-age=ok]")
    house.query(
        "update orders set promised_at = now() - interval '75 s', version = version + 1,"
        " created_at = now() - interval '5 min' where number = %s returning 1",
        order["order_number"],
    )
    visitor.find(f"{ticket(order)}[data-age=late]")
    assert "late by 1:" in visitor.text(f"{ticket(order)} .age")
    assert "■" in visitor.text(f"{ticket(order)} .shape")


def test_the_board_is_filtered_by_type_and_grouped_by_station(house, visitor):
    here, away = placed(house, "dine-in"), ready(house, "takeout")
    visitor.go(house, "/kitchen")
    visitor.find(ticket(here))
    visitor.click("[value=dine-in]")
    assert not visitor.all(ticket(here))
    visitor.click("[value=dine-in]")
    visitor.run("const g = document.getElementById('group'); g.value = 'station';"
                " g.dispatchEvent(new Event('change'))")  # fmt: skip
    assert visitor.all(f"[data-column=handover] {ticket(away)}")
    assert visitor.all(f"[data-column=kitchen] {ticket(here)}")


def test_with_200_orders_one_more_is_one_more_ticket_and_no_other_is_drawn_again(house, visitor):
    house.query(_MANY)
    visitor.looks(PHONE)
    visitor.go(house, "/kitchen")
    wait_until(lambda: len(visitor.all(".ticket")) == 200, 10, "all are there")
    visitor.run(
        "window.added = []; window.touched = 0;"
        "new MutationObserver((all) => { for (const m of all) { for (const n of m.addedNodes)"
        "  if (n.classList?.contains('ticket')) added.push(n.dataset.number);"
        "  if (m.target.classList?.contains('items')) touched++; } })"
        ".observe(document.getElementById('board'), { childList: true, subtree: true })"
    )
    order = placed(house, "dine-in")
    visitor.find(ticket(order))
    assert visitor.run("return added") == [order["order_number"]]
    assert visitor.run("return touched") == 0  # its own items were drawn before it was hung up


def test_the_sound_is_off_until_it_is_wanted_and_rings_for_a_new_order(house, visitor):
    visitor.go(house, "/kitchen")
    visitor.run("localStorage.clear()")
    visitor.sees("#sound", "Sound off")
    visitor.click("#sound")
    assert visitor.find("#sound").get_attribute("aria-pressed") == "true"
    rung = lambda: int(visitor.find("#sound").get_attribute("data-rung") or 0)  # noqa: E731
    assert rung() == 1
    placed(house, "dine-in")
    wait_until(lambda: rung() == 2, 10, "it rings")
    visitor.press("m")
    visitor.sees("#sound", "Sound off")
