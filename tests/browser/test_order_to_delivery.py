"""A customer orders on a phone, staff bumps the order, and the tracker shows its delivery."""

from __future__ import annotations

from ..support.page_driver import DESK, PHONE
from ..support.restaurant import Program
from ..support.waiting import wait_until
from .test_login import KEY, log_in


def test_an_order_goes_from_the_menu_to_delivery_and_strangers_cannot_touch_it(
    secured_service, page, tmp_path
):
    page.looks(PHONE)
    page.go(secured_service, "/")
    page.find("#dish-lasagne").send_keys("1")
    page.fill("customer_name", "Stella Stranger")
    page.click("[value=delivery]")
    page.fill("delivery_address", "12 Harbour Street")
    page.click("#send")
    wait_until(lambda: page.path.startswith("/track/"), 10, "the tracker is there")
    page.sees("h1", "We have your order")
    number = page.text("#now .quiet")
    tracker = page.browser.current_window_handle

    # What is not theirs.
    page.expect("401", "403", "404")
    for mine in ("/orders", f"/orders/{number}", "/kitchen/board", "/workers/status"):
        assert secured_service.request("GET", mine).status == 401
    for verb in ("deliver", "cancel", "send-back"):
        assert secured_service.request("POST", f"/orders/{number}/{verb}", b"{}").status == 401
    other = page.path[:-1] + ("0" if page.path[-1] != "0" else "1")
    assert secured_service.request("GET", other).status == 404

    flags = ["--mode=kitchen-worker", "--worker-name=chef_anna", "--cooking-time=0"]
    where = {"DB_URL": secured_service.db_url, "RABBITMQ": secured_service.broker_url}
    cook = Program(tmp_path, "cook", flags, where)
    try:
        page.sees("h1", "Your order is ready", 20)

        page.browser.switch_to.new_window("tab")
        page.looks(DESK)
        page.go(secured_service, "/kitchen")
        log_in(page, KEY)
        for word in ("Send out", "Delivered"):
            ticket = f".ticket[data-number={number}]"
            page.sees(f"{ticket} .bump", word)
            page.run(f"document.querySelector('{ticket} article').focus()")
            page.press("b")
            page.sees("#undo", word)
        gone = lambda: not page.all(f".ticket[data-number={number}]")  # noqa: E731
        wait_until(gone, 12, "it has left the board")
        page.browser.close()
        page.browser.switch_to.window(tracker)
        page.sees("h1", "Your order is with you. Enjoy your meal!")
        assert page.run("return document.querySelectorAll('#progress .done').length") == 5
    finally:
        cook.stop()
