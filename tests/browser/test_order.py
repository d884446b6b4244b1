"""A customer orders in the browser, by mouse, by keyboard, and without scripts."""

from __future__ import annotations

import pytest

from ..support.page_driver import PHONE, PageDriver
from ..support.waiting import wait_until

MARGHERITA = "#dish-margherita-pizza"


def orders(service):
    return service.query(
        "select number, customer_name, type, table_number, delivery_address,"
        " total_amount from orders order by created_at desc"
    )


def on_the_tracker(page: PageDriver) -> None:
    wait_until(lambda: page.path.startswith("/track/"), 10, "the tracker is there")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_customer_orders_and_gets_to_the_tracker(service, page, scripts):
    page.looks(PHONE, scripts=scripts)
    page.go(service, "/")
    page.find(MARGHERITA).send_keys("2")
    page.fill("customer_name", "Ada Order")
    page.click("[value=dine-in]")
    assert not page.find("#delivery_address").is_displayed()
    page.fill("table_number", "7")
    if scripts:
        assert page.text("#lines") == "2 × Margherita Pizza\n$31.98"
        assert page.text("#sum") == "Total $31.98"

    page.click("#send")

    on_the_tracker(page)
    page.sees("h1", "We have your order")
    row = orders(service)[0]
    assert row[1:5] == ("Ada Order", "dine-in", 7, None)
    assert str(row[5]) == "31.98"


@pytest.mark.parametrize("scripts", [True, False])
def test_an_error_is_shown_next_to_its_field(service, page, scripts):
    before = len(orders(service))
    page.expect("422")
    page.looks(PHONE, scripts=scripts)
    page.go(service, "/")
    page.click("[value=delivery]")
    page.fill("delivery_address", "no number")
    page.click("#send")

    page.sees("#problem", "Please check the marked fields")
    page.sees("#error-items", "Choose at least one dish")
    page.sees("#error-customer_name", "Enter your name")
    page.sees("#error-delivery_address", "house number")
    assert page.find("#delivery_address").get_attribute("aria-invalid") == "true"
    assert page.find("#delivery_address").get_attribute("value") == "no number"
    assert len(orders(service)) == before


def test_a_double_click_is_one_order(service, page):
    before = len(orders(service))
    page.go(service, "/")
    page.find(MARGHERITA).send_keys("1")
    page.fill("customer_name", "Dora Double")
    # Two clicks before anything can answer, and the form sent past the button, too.
    page.run(
        "const b = document.getElementById('send'); b.click(); b.click();"
        " document.getElementById('order').requestSubmit()"
    )

    on_the_tracker(page)
    assert len(orders(service)) == before + 1


def test_an_order_whose_answer_was_lost_is_sent_again_as_the_same_one(service, page):
    before = len(orders(service))
    page.go(service, "/")
    page.find(MARGHERITA).send_keys("1")
    page.fill("customer_name", "Lena Lost")
    page.run(
        "const real = window.fetch; let first = true;"
        "window.fetch = async (...a) => { const r = await real(...a);"
        " if (first) { first = false; throw new TypeError('lost'); }"
        " return r; }"
    )
    page.click("#send")
    page.sees("#problem", "We didn’t hear back")
    page.click(f".dish:has({MARGHERITA}) .more")  # another basket: the first order stands
    page.expect("422")
    page.click("#send")

    on_the_tracker(page)
    page.sees(".lines", "1 × Margherita Pizza")
    assert len(orders(service)) == before + 1


def test_an_order_without_scripts_that_is_posted_twice_is_one(service, page):
    before = len(orders(service))
    page.looks(PHONE, scripts=False)
    page.go(service, "/")
    key = page.find("[name=key]").get_attribute("value")
    form = f"key={key}&customer_name=Paul+Post&order_type=takeout&quantity%3ALasagne=1".encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [service.request("POST", "/", form, kind) for _ in range(2)]

    assert [each.status for each in answers] == [303, 303]
    assert len({each.headers["Location"] for each in answers}) == 1
    assert len(orders(service)) == before + 1


def test_a_whole_order_by_keyboard(service, page):
    page.go(service, "/")
    page.find(MARGHERITA).send_keys("1")
    page.find("#customer_name").send_keys("Kay Board")
    page.press("TAB", "ARROW_RIGHT")  # takeout → dine-in
    page.press("TAB")
    page.press("4")
    page.press("ENTER")

    on_the_tracker(page)
    assert orders(service)[0][1:4] == ("Kay Board", "dine-in", 4)


def test_a_sold_out_dish_cannot_be_put_into_the_basket(service, page):
    service.request("POST", "/menu/Lasagne/sold-out")
    try:
        page.go(service, "/")
        assert "Sold out today" in page.text("[data-name=Lasagne]")
        assert not page.all("[data-name=Lasagne] input")
    finally:
        service.request("POST", "/menu/Lasagne/available")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_price_that_has_changed_is_shown_before_it_is_paid(secured_service, page, scripts):
    def cost(price):
        put = "update menu set price = %s where name = 'Lasagne' returning name"
        secured_service.query(put, price)

    cost("14.20")
    before = len(orders(secured_service))
    page.expect("422")
    page.looks(PHONE, scripts=scripts)
    page.go(secured_service, "/")
    page.find("#dish-lasagne").send_keys("2")
    page.fill("customer_name", "Pia Price")
    cost("15.00")
    page.click("#send")

    page.sees("#error-items", "must be 15.00, the price of Lasagne on the menu")
    assert len(orders(secured_service)) == before
    if scripts:
        assert page.text("#sum") == "Total $30.00"
    page.click("#send")
    on_the_tracker(page)
    assert str(orders(secured_service)[0][5]) == "30.00"
