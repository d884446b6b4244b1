"""axe-core finds no barrier on any page, on a phone and on a wide screen, light and dark."""

from __future__ import annotations

from importlib import resources

import pytest

from ..support.page_driver import DESK, PHONE, PICTURES, PageDriver
from ..support.waiting import wait_until
from .test_track import placed, post, ready

AXE = resources.files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
# Sizes do not change colours, so two views see both of each; pictures are taken of all.
_VIEWS = (
    (PHONE, "phone", False),
    (DESK, "desk", True),
    (PHONE, "phone", True),
    (DESK, "desk", False),
)
_RUN = """
const done = arguments[arguments.length - 1];
axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }).then(
  (found) => done(found.violations.map((each) => each.id + ': '
    + each.nodes.map((node) => node.html.slice(0, 150)).join(' | '))));
"""


def found_by_axe(page: PageDriver) -> list[str]:
    page.run(AXE)
    return page.browser.execute_async_script(_RUN)


def check_page(page: PageDriver, what: str) -> None:
    """One page: at each size and by each light no barrier, and nothing wider than the screen."""
    for size, wide, dark in _VIEWS if PICTURES else _VIEWS[:2]:
        page.looks(size, dark=dark)
        name = f"{what}-{wide}-{'dark' if dark else 'light'}"
        page.picture(name)
        assert page.run("return document.documentElement.scrollWidth") <= size[0], name
        assert found_by_axe(page) == [], name


@pytest.fixture
def orders_in_each_status(service):
    """Orders of every kind: late, soon to be late, urgent, ready, on the road, cancelled."""
    service.query("update orders set status = 'delivered', in_kitchen = false returning 1")
    orders = {
        "ready": ready(service, "takeout"),
        "road": ready(service, "delivery"),
        "late": placed(service, "dine-in", "Lara Late"),
        "soon": placed(service, "dine-in", "Nina Soon"),
        "cancelled": placed(service, "dine-in", "Cora Cancel"),
    }
    post(service, orders["road"], "deliver", by="courier_carla")
    post(service, orders["cancelled"], "cancel", reason="no more dough")
    moments = (("late", "6 min", "-75 s"), ("soon", "8 min", "75 s"))
    for name, ago, ahead in moments:
        service.query(
            "update orders set created_at = now() - %s::interval,"
            " promised_at = now() + %s::interval where number = %s returning 1",
            ago,
            ahead,
            orders[name]["order_number"],
        )
    service.order({"customer_name": "Vera Vip", "customer_type": "vip", "rush": True,
                 "order_type": "dine-in", "table_number": 9,
                 "items": [{"name": "Lasagne", "quantity": 3, "price": 14.2}]})  # fmt: skip
    return orders


def test_the_order_page_with_and_without_errors(service, page):
    page.go(service, "/")
    page.find("#dish-margherita-pizza").send_keys("2")
    check_page(page, "order")
    page.expect("422")
    page.click("[value=delivery]")
    page.click("#send")
    page.sees("#problem", "marked fields")
    check_page(page, "errors")


def test_the_tracker(service, page, orders_in_each_status):
    for name in ("road", "soon", "cancelled"):
        page.go(service, orders_in_each_status[name]["tracking_url"])
        check_page(page, f"track-{name}")


def test_the_board(service, page, orders_in_each_status):
    page.go(service, "/kitchen")
    page.find(".ticket[data-age=late]")
    check_page(page, "kitchen")
    page.click(".ticket .cancel:not([hidden])")
    page.find("dialog[open]")
    page.looks(PHONE)
    page.picture("dialog")
    assert found_by_axe(page) == []


def test_the_managers_page(service, page):
    page.go(service, "/manage")
    page.sees("#workers", "chef_mario")
    check_page(page, "manage")
    page.go(service, "/manage/dead-letters")
    check_page(page, "dead-letters")


def test_the_login(secured_service, page):
    page.go(secured_service, "/kitchen")
    check_page(page, "login")


def test_sessions_and_the_audit_log(secured_service, page):
    page.go(secured_service, "/login?next=/manage/sessions")
    page.find("#key").send_keys("a-sound-key-of-the-staff")
    page.press("ENTER")
    page.sees("#sessions", "this browser")
    check_page(page, "sessions")
    page.go(secured_service, "/manage/audit?action=logged_in")
    page.sees("#entries", "environment")
    check_page(page, "audit")
    page.go(secured_service, "/manage/sessions")
    page.submit("tr:has(.quiet) .danger")

    def is_out() -> bool:
        """Within a second, in which another worker of the service may still know the session."""
        page.go(secured_service, "/manage/sessions")
        return page.path.startswith("/login")

    wait_until(is_out, 10, "its own session is over")
