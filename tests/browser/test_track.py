"""A customer follows an order: by its type, live, through a lost connection, to the door."""

from __future__ import annotations

import json

from ..support.page_driver import PHONE, PageDriver
from ..support.restaurant import stays
from ..support.waiting import wait_until

MEALS = {
    "dine-in": {"table_number": 3},
    "takeout": {},
    "delivery": {"delivery_address": "1 High St"},
}

HOLD_ANSWERS = """
const ask = window.fetch;
window.fetch = async (...question) => {
  await ask(...question);
  await new Promise(done => { window.letGo = done; });
  return new Response(null, {status: 304});
};
"""


def placed(house, kind: str, name: str = "Tracy Track") -> dict:
    order = {"customer_name": name, "order_type": kind, **MEALS[kind],
             "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}]}  # fmt: skip
    reply = house.order(order)
    assert reply.status == 201, reply.body
    return reply.json


def ready(house, kind: str) -> dict:
    order = placed(house, kind)
    status = f"/orders/{order['order_number']}/status"
    is_ready = lambda: house.request("GET", status).json["current_status"] == "ready"  # noqa: E731
    wait_until(is_ready, 10, "it is ready")
    return order


def post(house, order: dict, verb: str, **words: object) -> None:
    path = f"/orders/{order['order_number']}/{verb}"
    reply = house.request("POST", path, json.dumps(words).encode() if words else None)
    assert reply.status == 200, reply.body


def way(visitor: PageDriver) -> list[tuple[str, str]]:
    """The steps with their states; in one look, as the page may change in between."""
    return visitor.run(
        "return [...document.querySelectorAll('#progress li')].map(each =>"
        " [each.querySelector('.name').firstChild.textContent, each.className])"
    )


def told(visitor: PageDriver) -> list[str]:
    return visitor.run(
        "return [...document.querySelectorAll('#timeline li bdi')].map(each => each.textContent)"
    )


def test_only_a_delivery_has_a_step_on_the_road(house, visitor):
    names = {}
    for kind in MEALS:
        visitor.go(house, placed(house, kind)["tracking_url"])
        names[kind] = [name for name, _ in way(visitor)]
    assert names["dine-in"] == ["Received", "Cooking", "Ready", "Served"]
    assert names["takeout"] == ["Received", "Cooking", "Ready", "Picked up"]
    assert names["delivery"] == ["Received", "Cooking", "Ready", "On its way", "Delivered"]


def test_the_page_follows_its_order_to_the_door(house, visitor):
    order = ready(house, "delivery")
    visitor.looks(PHONE)
    visitor.go(house, order["tracking_url"])
    visitor.sees("h1", "Your order is ready")

    post(house, order, "deliver", by="courier_carla")
    visitor.sees("h1", "Your order is on its way")
    visitor.sees("#timeline", "Your driver is on the way.")
    post(house, order, "deliver")
    visitor.sees("h1", "Your order is with you")

    assert [state for _, state in way(visitor)] == ["done"] * 5
    assert told(visitor) == [
        "It was delivered.",
        "Your driver is on the way.",
        "It is ready.",
        "We started cooking.",
        "We have your order.",
    ]


def test_it_comes_back_by_itself_after_a_lost_connection_and_misses_no_step(house, visitor):
    order = ready(house, "delivery")
    visitor.go(house, order["tracking_url"])
    visitor.expect("ERR_INTERNET_DISCONNECTED")
    visitor.offline(True)
    visitor.sees("#link", "You’re offline")
    post(house, order, "send-back", reason="burnt")
    times = "/orders/{}/history".format(order["order_number"])
    again = lambda: [s["status"] for s in house.request("GET", times).json].count("ready") == 2  # noqa: E731
    wait_until(again, 10, "it is ready again")
    post(house, order, "deliver")
    visitor.offline(False)

    visitor.sees("h1", "Your order is on its way")
    assert len(told(visitor)) == 7
    assert told(visitor)[3] == "We’re remaking your order, first in line (burnt)."
    wait_until(lambda: not visitor.find("#link").is_displayed(), 10, "the notice is gone")


def test_an_answer_from_before_the_cut_hides_no_notice(house, visitor):
    visitor.go(house, ready(house, "delivery")["tracking_url"])
    visitor.expect("ERR_INTERNET_DISCONNECTED")
    visitor.run(HOLD_ANSWERS)
    visitor.run("dispatchEvent(new Event('online'))")  # so it looks again
    wait_until(lambda: visitor.run("return 'letGo' in window"), 10, "an answer is held back")
    visitor.offline(True)
    visitor.sees("#link", "You’re offline")

    visitor.run("letGo()")

    stays(lambda: visitor.find("#link").is_displayed(), 1, "the notice")


def test_a_customer_cancels_while_nobody_cooks_it(house, visitor):
    order = placed(house, "dine-in")
    visitor.go(house, order["tracking_url"])
    visitor.click("#undo summary")
    visitor.click("#undo button")

    visitor.sees("h1", "Order cancelled")
    visitor.sees("#timeline", "You cancelled this order.")
    assert not visitor.all("#undo details")


def test_what_is_cooked_cannot_be_cancelled_from_a_page_that_does_not_know_it_yet(house, visitor):
    order = ready(house, "takeout")
    visitor.go(house, order["tracking_url"])
    assert not visitor.all("#undo details")
    done = house.request("POST", f"{order['tracking_url']}/cancel")
    assert done.status == 303
    assert house.request("GET", order["tracking_url"]).json["status"] == "ready"


def test_a_token_of_nothing_is_a_page_that_says_so(house, visitor):
    visitor.expect("404")
    visitor.go(house, "/track/20240101_001." + "0" * 40)
    visitor.sees("main", "There is no order with this token.")


def test_programs_get_json_at_the_same_address(house):
    url = placed(house, "dine-in")["tracking_url"]
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        reply = house.request("GET", url, headers=accept)
        assert reply.headers["Content-Type"] == "application/json"
        assert "Accept" in reply.headers["Vary"]
    page = house.request("GET", url, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    same = house.request(
        "GET", url, headers={"Accept": "text/html", "If-None-Match": page.headers["ETag"]}
    )
    assert same.status == 304
