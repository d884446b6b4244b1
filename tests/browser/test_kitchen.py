"""The kitchen's board: what it shows, and how an order is bumped by keyboard."""

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
def empty_board(service) -> Iterator[None]:
    """No orders of other tests are on the board."""
    clear = "update orders set status = 'delivered', in_kitchen = false returning 1"
    service.query(clear)
    yield
    service.query(clear)


def ticket(order: dict) -> str:
    return f".ticket[data-number={order['order_number']}]"


def status(service, order: dict) -> str:
    return service.request("GET", f"/orders/{order['order_number']}/status").json["current_status"]


def focus(page: PageDriver, order: dict) -> None:
    page.find(ticket(order))
    page.run(f"document.querySelector('{ticket(order)} article').focus()")


def test_a_new_order_shows_by_itself_with_its_badges_and_counts(service, page):
    page.go(service, "/kitchen")
    page.sees(".column[data-column=received] .number", "0")
    service.order({"customer_name": "Vera Vip", "customer_type": "vip", "rush": True,
                 "order_type": "dine-in", "table_number": 9,
                 "items": [{"name": "Lasagne", "quantity": 3, "price": 14.2}]})  # fmt: skip

    page.sees(".column[data-column=received] .ticket", "Vera Vip, table 9", 2)
    seen = page.text(".ticket")
    for words in ("VIP", "Rush", "dine-in", "priority 10", "3 × Lasagne", "due in"):
        assert words in seen
    assert page.text("#allday") == "3 × Lasagne"
    assert "Lasagne" not in page.text("#announcer") and "VIP, Rush" in page.find(
        "#announcer"
    ).get_attribute("textContent")


def test_dishes_to_cook_are_counted_in_every_spelling(service, page):
    for name, quantity in ("Straße", 2), ("STRASSE", 1), ("Crème  brûlée", 1), ("crème Brûlée", 3):
        service.order({"customer_name": "Guest", "order_type": "dine-in", "table_number": 4,
                     "items": [{"name": name, "quantity": quantity, "price": 9}]})  # fmt: skip
    page.go(service, "/kitchen")
    page.sees(".column[data-column=received] .number", "4")
    page.sees("#allday", "4 × ")
    assert [each.text.split(" × ")[0] for each in page.all("#allday li")] == ["4", "3"]


def test_a_new_order_shows_within_a_second(service, page):
    page.go(service, "/kitchen")
    page.sees(".column[data-column=received] .number", "0")
    placed(service, "dine-in")  # the first look, and the stream, are there
    wait_until(lambda: len(page.all(".ticket")) == 1, 10, "it shows")
    watch = Stopwatch()
    order = placed(service, "dine-in")
    page.find(ticket(order))
    watch.assert_within(1.0)


def test_by_keyboard_orders_are_bumped_recalled_cancelled_and_a_bump_is_undone(service, page):
    kept, bumped, recalled = (ready(service, "takeout") for _ in range(3))
    waiting, urgent = placed(service, "dine-in"), placed(service, "dine-in")
    page.go(service, "/kitchen")

    focus(page, kept)
    page.press("b")
    page.sees("#undo", "Hand over")
    page.press("u")
    assert not page.find("#undo").is_displayed()
    focus(page, bumped)
    page.press("ENTER")
    focus(page, recalled)
    page.press("r")
    page.press(*"burnt", "ENTER")
    focus(page, waiting)
    page.press("c")
    page.press(*"fire", "ENTER")
    focus(page, urgent)
    page.press("p", "BACKSPACE", "7", "TAB", *"hungry", "ENTER")

    wait_until(lambda: status(service, bumped) == "delivered", 12, "it is handed over")
    assert status(service, kept) == "ready"
    history = f"/orders/{recalled['order_number']}/history"
    back = lambda: "staff: burnt" in [s["notes"] for s in service.request("GET", history).json]  # noqa: E731
    wait_until(back, 10, "it is sent back")
    wait_until(lambda: status(service, waiting) == "cancelled", 10, "it is cancelled")
    page.find(f"{ticket(waiting)}.cancelled")
    page.sees(ticket(urgent), "priority 7")


def test_an_action_on_a_changed_order_shows_an_error_on_its_card(service, page):
    order = ready(service, "takeout")
    page.go(service, "/kitchen")
    page.expect("412")
    focus(page, order)
    page.press("b")
    # Another board changed the order first.
    service.query(
        "update orders set version = version + 1 where number = %s returning 1",
        order["order_number"],
    )
    page.sees(f"{ticket(order)} .failed", "has changed", 12)
    assert status(service, order) == "ready"


def test_the_arrows_go_from_order_to_order(service, page):
    first, second = placed(service, "dine-in"), placed(service, "dine-in")
    done = ready(service, "takeout")
    page.go(service, "/kitchen")
    page.find(ticket(done))
    here = lambda: page.run(  # noqa: E731
        "return document.activeElement.closest('.ticket')?.dataset.number"
    )
    walked = []
    for key in ("ARROW_DOWN", "ARROW_DOWN", "ARROW_RIGHT", "ARROW_LEFT"):
        page.press(key)
        walked.append(here())
    numbers = [each["order_number"] for each in (first, second, done)]
    assert walked[:3] == numbers
    assert walked[3] == numbers[0]


def test_age_is_shown_by_colour_and_by_words(service, page):
    order = placed(service, "dine-in")
    page.go(service, "/kitchen")
    page.find(f"{ticket(order)}[data-age=ok]")
    service.query(
        "update orders set promised_at = now() - interval '75 s', version = version + 1,"
        " created_at = now() - interval '5 min' where number = %s returning 1",
        order["order_number"],
    )
    page.find(f"{ticket(order)}[data-age=late]")
    assert "late by 1:" in page.text(f"{ticket(order)} .age")
    assert "■" in page.text(f"{ticket(order)} .shape")


def test_the_board_is_filtered_by_type_and_grouped_by_station(service, page):
    here, away = placed(service, "dine-in"), ready(service, "takeout")
    page.go(service, "/kitchen")
    page.find(ticket(here))
    page.click("[value=dine-in]")
    assert not page.all(ticket(here))
    page.click("[value=dine-in]")
    page.run(
        "const g = document.getElementById('group'); g.value = 'station';"
        " g.dispatchEvent(new Event('change'))"
    )
    assert page.all(f"[data-column=handover] {ticket(away)}")
    assert page.all(f"[data-column=kitchen] {ticket(here)}")


def test_with_200_orders_a_new_one_adds_one_card_and_redraws_no_other(service, page):
    service.query(_MANY)
    page.looks(PHONE)
    page.go(service, "/kitchen")
    wait_until(lambda: len(page.all(".ticket")) == 200, 10, "all are there")
    page.run(
        "window.added = []; window.touched = 0;"
        "new MutationObserver((all) => { for (const m of all) { for (const n of m.addedNodes)"
        "  if (n.classList?.contains('ticket')) added.push(n.dataset.number);"
        "  if (m.target.classList?.contains('items')) touched++; } })"
        ".observe(document.getElementById('board'), { childList: true, subtree: true })"
    )
    order = placed(service, "dine-in")
    page.find(ticket(order))
    assert page.run("return added") == [order["order_number"]]
    assert page.run("return touched") == 0  # its own items were drawn before it was hung up


def test_the_sound_is_off_by_default_and_rings_for_a_new_order(service, page):
    page.go(service, "/kitchen")
    page.run("localStorage.clear()")
    page.sees("#sound", "Sound off")
    page.click("#sound")
    assert page.find("#sound").get_attribute("aria-pressed") == "true"
    rung = lambda: int(page.find("#sound").get_attribute("data-rung") or 0)  # noqa: E731
    assert rung() == 1
    placed(service, "dine-in")
    wait_until(lambda: rung() == 2, 10, "it rings")
    page.press("m")
    page.sees("#sound", "Sound off")
