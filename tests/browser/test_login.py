"""Staff's pages where there is a key: it is shown once, and forgotten when it is revoked."""

from __future__ import annotations

import pytest

from pizza.auth import keys
from pizza.database.connection import connect

from ..support.page_driver import PageDriver
from ..support.waiting import wait_until

KEY = "a-sound-key-of-the-staff"
MEAL = {"customer_name": "Jane Roe", "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}]}


def log_in(visitor: PageDriver, key: str) -> None:
    visitor.find("#key").send_keys(key)
    visitor.press("ENTER")


@pytest.mark.parametrize("page", ["/kitchen", "/manage", "/manage/dead-letters"])
def test_a_page_of_staff_asks_for_the_key_and_leads_on(closed_house, visitor, page):
    visitor.go(closed_house, page)
    assert visitor.path.startswith("/login")
    log_in(visitor, KEY)
    wait_until(lambda: visitor.path == page, 10, "the page that was wanted is there")


def test_a_wrong_key_opens_nothing(closed_house, visitor):
    visitor.expect("403")
    visitor.go(closed_house, "/kitchen")
    log_in(visitor, "not-the-key")
    visitor.sees("#error-key", "Wrong or revoked key")
    visitor.go(closed_house, "/manage")
    assert visitor.path.startswith("/login")


def test_the_board_works_with_a_session_and_ends_with_it(closed_house, visitor):
    visitor.go(closed_house, "/kitchen")
    log_in(visitor, KEY)
    order = closed_house.order(MEAL).json
    visitor.sees(".ticket", "Jane Roe")
    cookie = visitor.browser.get_cookie("pizza_staff")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert KEY not in cookie["value"]
    visitor.find(f".ticket[data-number={order['order_number']}]")
    visitor.expect("401")  # the board may look once more while it is being left
    visitor.click(".top button")
    wait_until(lambda: visitor.path == "/", 10, "it is logged out")
    visitor.go(closed_house, "/kitchen")
    assert visitor.path.startswith("/login")


def test_a_revoked_key_voids_its_sessions(closed_house, visitor):
    with connect(closed_house.db_url, name="keys") as conn:
        kept, key = keys.add_key(conn, "tablet")
    visitor.go(closed_house, "/login?next=/manage")

    def is_in() -> bool:
        if visitor.path.startswith("/login"):
            visitor.go(closed_house, "/login?next=/manage")
            log_in(visitor, key)
        return visitor.path == "/manage"

    visitor.expect("403")  # the key is known within a second
    wait_until(is_in, 10, "the new key is known")
    with connect(closed_house.db_url, name="keys") as conn:
        keys.revoke_key(conn, kept.id)

    visitor.expect("401")

    def is_out() -> bool:
        visitor.go(closed_house, "/manage")
        return visitor.path.startswith("/login")

    wait_until(is_out, 10, "the session is void")
