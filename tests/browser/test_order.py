"""A stranger orders in the browser, by mouse, by keyboard, and without scripts."""

from __future__ import annotations

import pytest

from ..support.page_driver import PHONE, PageDriver
from ..support.waiting import wait_until

MARGHERITA = "#dish-margherita-pizza"


def orders(house):
    return house.query("select number, customer_name, type, table_number, delivery_address,"
                       " total_amount from orders order by created_at desc")  # fmt: skip


def on_the_tracker(visitor: PageDriver) -> None:
    wait_until(lambda: visitor.path.startswith("/track/"), 10, "the tracker is there")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_guest_orders_and_one_click_leads_to_the_tracker(house, visitor, scripts):
    visitor.looks(PHONE, scripts=scripts)
    visitor.go(house, "/")
    visitor.find(MARGHERITA).send_keys("2")
    visitor.fill("customer_name", "Ada Order")
    visitor.click("[value=dine-in]")
    assert not visitor.find("#delivery_address").is_displayed()
    visitor.fill("table_number", "7")
    if scripts:
        assert visitor.text("#lines") == "2 × Margherita Pizza\n$31.98"
        assert visitor.text("#sum") == "Total $31.98"

    visitor.click("#send")

    on_the_tracker(visitor)
    visitor.sees("h1", "We have your order")
    row = orders(house)[0]
    assert row[1:5] == ("Ada Order", "dine-in", 7, None)
    assert str(row[5]) == "31.98"


@pytest.mark.parametrize("scripts", [True, False])
def test_what_is_wrong_stands_beside_its_field(house, visitor, scripts):
    before = len(orders(house))
    visitor.expect("422")
    visitor.looks(PHONE, scripts=scripts)
    visitor.go(house, "/")
    visitor.click("[value=delivery]")
    visitor.fill("delivery_address", "no number")
    visitor.click("#send")

    visitor.sees("#problem", "Please check the marked fields")
    visitor.sees("#error-items", "Choose at least one dish")
    visitor.sees("#error-customer_name", "Enter your name")
    visitor.sees("#error-delivery_address", "house number")
    assert visitor.find("#delivery_address").get_attribute("aria-invalid") == "true"
    assert visitor.find("#delivery_address").get_attribute("value") == "no number"
    assert len(orders(house)) == before


def test_a_double_click_is_one_order(house, visitor):
    before = len(orders(house))
    visitor.go(house, "/")
    visitor.find(MARGHERITA).send_keys("1")
    visitor.fill("customer_name", "Dora Double")
    # Two clicks before anything can answer, and the form sent past the button, too.
    visitor.run("const b = document.getElementById('send'); b.click(); b.click();"
                " document.getElementById('order').requestSubmit()")  # fmt: skip

    on_the_tracker(visitor)
    assert len(orders(house)) == before + 1


def test_an_order_whose_answer_was_lost_is_sent_again_as_the_same_one(house, visitor):
    before = len(orders(house))
    visitor.go(house, "/")
    visitor.find(MARGHERITA).send_keys("1")
    visitor.fill("customer_name", "Lena Lost")
    visitor.run("const real = window.fetch; let first = true;"
                "window.fetch = async (...a) => { const r = await real(...a);"
                " if (first) { first = false; throw new TypeError('lost'); }"
                " return r; }")  # fmt: skip
    visitor.click("#send")
    visitor.sees("#problem", "We didn’t hear back")
    visitor.click(f".dish:has({MARGHERITA}) .more")  # another basket: the first order stands
    visitor.expect("422")
    visitor.click("#send")

    on_the_tracker(visitor)
    visitor.sees(".lines", "1 × Margherita Pizza")
    assert len(orders(house)) == before + 1


def test_an_order_without_scripts_that_is_posted_twice_is_one(house, visitor):
    before = len(orders(house))
    visitor.looks(PHONE, scripts=False)
    visitor.go(house, "/")
    key = visitor.find("[name=key]").get_attribute("value")
    form = f"key={key}&customer_name=Paul+Post&order_type=takeout&quantity%3ALasagne=1".encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [house.request("POST", "/", form, kind) for _ in range(2)]

    assert [each.status for each in answers] == [303, 303]
    assert len({each.headers["Location"] for each in answers}) == 1
    assert len(orders(house)) == before + 1


def test_a_whole_order_by_keyboard(house, visitor):
    visitor.go(house, "/")
    visitor.find(MARGHERITA).send_keys("1")
    visitor.find("#customer_name").send_keys("Kay Board")
    visitor.press("TAB", "ARROW_RIGHT")  # takeout → dine-in
    visitor.press("TAB")
    visitor.press("4")
    visitor.press("ENTER")

    on_the_tracker(visitor)
    assert orders(house)[0][1:4] == ("Kay Board", "dine-in", 4)


def test_a_sold_out_dish_cannot_be_put_into_the_basket(house, visitor):
    house.request("POST", "/menu/Lasagne/sold-out")
    try:
        visitor.go(house, "/")
        assert "Sold out today" in visitor.text("[data-name=Lasagne]")
        assert not visitor.all("[data-name=Lasagne] input")
    finally:
        house.request("POST", "/menu/Lasagne/available")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_price_that_has_changed_is_shown_before_it_is_paid(closed_house, visitor, scripts):
    def cost(price):
        put = "update menu set price = %s where name = 'Lasagne' returning name"
        closed_house.query(put, price)

    cost("14.20")
    before = len(orders(closed_house))
    visitor.expect("422")
    visitor.looks(PHONE, scripts=scripts)
    visitor.go(closed_house, "/")
    visitor.find("#dish-lasagne").send_keys("2")
    visitor.fill("customer_name", "Pia Price")
    cost("15.00")
    visitor.click("#send")

    visitor.sees("#error-items", "must be 15.00, the price of Lasagne on the menu")
    assert len(orders(closed_house)) == before
    if scripts:
        assert visitor.text("#sum") == "Total $30.00"
    visitor.click("#send")
    on_the_tracker(visitor)
    assert str(orders(closed_house)[0][5]) == "30.00"
