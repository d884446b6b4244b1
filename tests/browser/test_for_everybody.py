"""Every page at a phone's width and at a desk's, by day and by night, as axe-core sees it."""

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


def found_by_axe(visitor: PageDriver) -> list[str]:
    visitor.run(AXE)
    return visitor.browser.execute_async_script(_RUN)


def look(visitor: PageDriver, what: str) -> None:
    """One page: at each size and by each light no barrier, and nothing wider than the screen."""
    for size, wide, dark in _VIEWS if PICTURES else _VIEWS[:2]:
        visitor.looks(size, dark=dark)
        name = f"{what}-{wide}-{'dark' if dark else 'light'}"
        visitor.picture(name)
        assert visitor.run("return document.documentElement.scrollWidth") <= size[0], name
        assert found_by_axe(visitor) == [], name


@pytest.fixture
def a_full_house(house):
    """Orders of every kind: late, soon to be late, urgent, ready, on the road, cancelled."""
    house.query("update orders set status = 'delivered', in_kitchen = false returning 1")
    orders = {
        "ready": ready(house, "takeout"),
        "road": ready(house, "delivery"),
        "late": placed(house, "dine-in", "Lara Late"),
        "soon": placed(house, "dine-in", "Nina Soon"),
        "cancelled": placed(house, "dine-in", "Cora Cancel"),
    }
    post(house, orders["road"], "deliver", by="courier_carla")
    post(house, orders["cancelled"], "cancel", reason="no more dough")
    moments = (("late", "6 min", "-75 s"), ("soon", "8 min", "75 s"))
    for name, ago, ahead in moments:
        house.query(
            "update orders set created_at = now() - %s::interval,"
            " promised_at = now() + %s::interval where number = %s returning 1",
            ago, ahead, orders[name]["order_number"],
        )  # fmt: skip
    house.order({"customer_name": "Vera Vip", "customer_type": "vip", "rush": True,
                 "order_type": "dine-in", "table_number": 9,
                 "items": [{"name": "Lasagne", "quantity": 3, "price": 14.2}]})  # fmt: skip
    return orders


def test_the_order_page_with_and_without_errors(house, visitor):
    visitor.go(house, "/")
    visitor.find("#dish-margherita-pizza").send_keys("2")
    look(visitor, "order")
    visitor.expect("422")
    visitor.click("[value=delivery]")
    visitor.click("#send")
    visitor.sees("#problem", "marked fields")
    look(visitor, "errors")


def test_the_tracker(house, visitor, a_full_house):
    for name in ("road", "soon", "cancelled"):
        visitor.go(house, a_full_house[name]["tracking_url"])
        look(visitor, f"track-{name}")


def test_the_board(house, visitor, a_full_house):
    visitor.go(house, "/kitchen")
    visitor.find(".ticket[data-age=late]")
    look(visitor, "kitchen")
    visitor.click(".ticket .cancel:not([hidden])")
    visitor.find("dialog[open]")
    visitor.looks(PHONE)
    visitor.picture("dialog")
    assert found_by_axe(visitor) == []


def test_the_managers_page(house, visitor):
    visitor.go(house, "/manage")
    visitor.sees("#workers", "chef_mario")
    look(visitor, "manage")
    visitor.go(house, "/manage/dead-letters")
    look(visitor, "dead-letters")


def test_the_login(closed_house, visitor):
    visitor.go(closed_house, "/kitchen")
    look(visitor, "login")


def test_sessions_and_the_audit_log(closed_house, visitor):
    visitor.go(closed_house, "/login?next=/manage/sessions")
    visitor.find("#key").send_keys("a-sound-key-of-the-staff")
    visitor.press("ENTER")
    visitor.sees("#sessions", "this browser")
    look(visitor, "sessions")
    visitor.go(closed_house, "/manage/audit?action=logged_in")
    visitor.sees("#entries", "environment")
    look(visitor, "audit")
    visitor.go(closed_house, "/manage/sessions")
    visitor.submit("tr:has(.quiet) .danger")

    def is_out() -> bool:
        """Within a second, in which another worker of the service may still know the session."""
        visitor.go(closed_house, "/manage/sessions")
        return visitor.path.startswith("/login")

    wait_until(is_out, 10, "its own session is over")
