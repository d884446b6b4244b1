"""A stranger orders on a phone; staff bumps it by keyboard; it is followed to the door."""

from __future__ import annotations

from ..support.page_driver import DESK, PHONE
from ..support.restaurant import Program
from ..support.waiting import wait_until
from .test_login import KEY, log_in


def test_from_the_menu_to_the_door_and_nobody_touches_what_is_not_theirs(
    closed_house, visitor, tmp_path
):
    visitor.looks(PHONE)
    visitor.go(closed_house, "/")
    visitor.find("#dish-lasagne").send_keys("1")
    visitor.fill("customer_name", "Stella Stranger")
    visitor.click("[value=delivery]")
    visitor.fill("delivery_address", "12 Harbour Street")
    visitor.click("#send")
    wait_until(lambda: visitor.path.startswith("/track/"), 10, "the tracker is there")
    visitor.sees("h1", "We have your order")
    number = visitor.text("#now .quiet")
    tracker = visitor.browser.current_window_handle

    # What is not theirs.
    visitor.expect("401", "403", "404")
    for mine in ("/orders", f"/orders/{number}", "/kitchen/board", "/workers/status"):
        assert closed_house.request("GET", mine).status == 401
    for verb in ("deliver", "cancel", "send-back"):
        assert closed_house.request("POST", f"/orders/{number}/{verb}", b"{}").status == 401
    other = visitor.path[:-1] + ("0" if visitor.path[-1] != "0" else "1")
    assert closed_house.request("GET", other).status == 404

    flags = ["--mode=kitchen-worker", "--worker-name=chef_anna", "--cooking-time=0"]
    where = {"DB_URL": closed_house.db_url, "RABBITMQ": closed_house.broker_url}
    cook = Program(tmp_path, "cook", flags, where)
    try:
        visitor.sees("h1", "Your order is ready", 20)

        visitor.browser.switch_to.new_window("tab")
        visitor.looks(DESK)
        visitor.go(closed_house, "/kitchen")
        log_in(visitor, KEY)
        for word in ("Send out", "Delivered"):
            ticket = f".ticket[data-number={number}]"
            visitor.sees(f"{ticket} .bump", word)
            visitor.run(f"document.querySelector('{ticket} article').focus()")
            visitor.press("b")
            visitor.sees("#undo", word)
        gone = lambda: not visitor.all(f".ticket[data-number={number}]")  # noqa: E731
        wait_until(gone, 12, "it has left the board")
        visitor.browser.close()
        visitor.browser.switch_to.window(tracker)
        visitor.sees("h1", "Your order is with you. Enjoy your meal!")
        assert visitor.run("return document.querySelectorAll('#progress .done').length") == 5
    finally:
        cook.stop()
