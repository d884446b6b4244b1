"""Pages of staff where there is a key: the login, the session, and its end with the key."""

from __future__ import annotations

import pytest

from pizza.auth import keys
from pizza.database.connection import connect

from ..support.page_driver import PageDriver
from ..support.waiting import wait_until

KEY = "a-sound-key-of-the-staff"
MEAL = {"customer_name": "Jane Roe", "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}]}


def log_in(page: PageDriver, key: str) -> None:
    page.find("#key").send_keys(key)
    page.press("ENTER")


@pytest.mark.parametrize("path", ["/kitchen", "/manage", "/manage/dead-letters"])
def test_a_page_of_staff_requires_the_key_and_opens_after_the_login(secured_service, page, path):
    page.go(secured_service, path)
    assert page.path.startswith("/login")
    log_in(page, KEY)
    wait_until(lambda: page.path == path, 10, "the page that was wanted is there")


def test_a_wrong_key_opens_nothing(secured_service, page):
    page.expect("403")
    page.go(secured_service, "/kitchen")
    log_in(page, "not-the-key")
    page.sees("#error-key", "Wrong or revoked key")
    page.go(secured_service, "/manage")
    assert page.path.startswith("/login")


def test_the_board_works_with_a_session_and_ends_with_it(secured_service, page):
    page.go(secured_service, "/kitchen")
    log_in(page, KEY)
    order = secured_service.order(MEAL).json
    page.sees(".ticket", "Jane Roe")
    cookie = page.browser.get_cookie("pizza_staff")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert KEY not in cookie["value"]
    page.find(f".ticket[data-number={order['order_number']}]")
    page.expect("401")  # the board may look once more while it is being left
    page.click(".top button")
    wait_until(lambda: page.path == "/", 10, "it is logged out")
    page.go(secured_service, "/kitchen")
    assert page.path.startswith("/login")


def test_a_revoked_key_voids_its_sessions(secured_service, page):
    with connect(secured_service.db_url, name="keys") as conn:
        kept, key = keys.add_key(conn, "tablet")
    page.go(secured_service, "/login?next=/manage")

    def is_in() -> bool:
        if page.path.startswith("/login"):
            page.go(secured_service, "/login?next=/manage")
            log_in(page, key)
        return page.path == "/manage"

    page.expect("403")  # the key is known within a second
    wait_until(is_in, 10, "the new key is known")
    with connect(secured_service.db_url, name="keys") as conn:
        keys.revoke_key(conn, kept.id)

    page.expect("401")

    def is_out() -> bool:
        page.go(secured_service, "/manage")
        return page.path.startswith("/login")

    wait_until(is_out, 10, "the session is void")
