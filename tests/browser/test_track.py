"""A customer follows an order: steps of its type, live changes, a lost connection, the delivery."""

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


def placed(service, kind: str, name: str = "Tracy Track") -> dict:
    order = {"customer_name": name, "order_type": kind, **MEALS[kind],
             "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}]}  # fmt: skip
    reply = service.order(order)
    assert reply.status == 201, reply.body
    return reply.json


def ready(service, kind: str) -> dict:
    order = placed(service, kind)
    status = f"/orders/{order['order_number']}/status"
    is_ready = lambda: service.request("GET", status).json["current_status"] == "ready"  # noqa: E731
    wait_until(is_ready, 10, "it is ready")
    return order


def post(service, order: dict, verb: str, **words: object) -> None:
    path = f"/orders/{order['order_number']}/{verb}"
    reply = service.request("POST", path, json.dumps(words).encode() if words else None)
    assert reply.status == 200, reply.body


def progress_steps(page: PageDriver) -> list[tuple[str, str]]:
    """The steps with their states; in one look, as the page may change in between."""
    return page.run(
        "return [...document.querySelectorAll('#progress li')].map(each =>"
        " [each.querySelector('.name').firstChild.textContent, each.className])"
    )


def timeline_texts(page: PageDriver) -> list[str]:
    return page.run(
        "return [...document.querySelectorAll('#timeline li bdi')].map(each => each.textContent)"
    )


def test_only_a_delivery_has_a_step_on_the_road(service, page):
    names = {}
    for kind in MEALS:
        page.go(service, placed(service, kind)["tracking_url"])
        names[kind] = [name for name, _ in progress_steps(page)]
    assert names["dine-in"] == ["Received", "Cooking", "Ready", "Served"]
    assert names["takeout"] == ["Received", "Cooking", "Ready", "Picked up"]
    assert names["delivery"] == ["Received", "Cooking", "Ready", "On its way", "Delivered"]


def test_the_page_follows_its_order_until_it_is_delivered(service, page):
    order = ready(service, "delivery")
    page.looks(PHONE)
    page.go(service, order["tracking_url"])
    page.sees("h1", "Your order is ready")

    post(service, order, "deliver", by="courier_carla")
    page.sees("h1", "Your order is on its way")
    page.sees("#timeline", "Your driver is on the way.")
    post(service, order, "deliver")
    page.sees("h1", "Your order is with you")

    assert [state for _, state in progress_steps(page)] == ["done"] * 5
    assert timeline_texts(page) == [
        "It was delivered.",
        "Your driver is on the way.",
        "It is ready.",
        "We started cooking.",
        "We have your order.",
    ]


def test_the_page_reconnects_after_a_lost_connection_and_misses_no_step(service, page):
    order = ready(service, "delivery")
    page.go(service, order["tracking_url"])
    page.expect("ERR_INTERNET_DISCONNECTED")
    page.offline(True)
    page.sees("#link", "You’re offline")
    post(service, order, "send-back", reason="burnt")
    times = "/orders/{}/history".format(order["order_number"])
    again = lambda: [s["status"] for s in service.request("GET", times).json].count("ready") == 2  # noqa: E731
    wait_until(again, 10, "it is ready again")
    post(service, order, "deliver")
    page.offline(False)

    page.sees("h1", "Your order is on its way")
    assert len(timeline_texts(page)) == 7
    assert timeline_texts(page)[3] == "We’re remaking your order, first in line (burnt)."
    wait_until(lambda: not page.find("#link").is_displayed(), 10, "the notice is gone")


def test_an_answer_from_before_the_cut_hides_no_notice(service, page):
    page.go(service, ready(service, "delivery")["tracking_url"])
    page.expect("ERR_INTERNET_DISCONNECTED")
    page.run(HOLD_ANSWERS)
    page.run("dispatchEvent(new Event('online'))")  # so the page reads the order again
    wait_until(lambda: page.run("return 'letGo' in window"), 10, "an answer is held back")
    page.offline(True)
    page.sees("#link", "You’re offline")

    page.run("letGo()")

    stays(lambda: page.find("#link").is_displayed(), 1, "the notice")


def test_a_customer_cancels_a_waiting_order(service, page):
    order = placed(service, "dine-in")
    page.go(service, order["tracking_url"])
    page.click("#undo summary")
    page.click("#undo button")

    page.sees("h1", "Order cancelled")
    page.sees("#timeline", "You cancelled this order.")
    assert not page.all("#undo details")


def test_a_ready_order_cannot_be_cancelled_from_an_outdated_page(service, page):
    order = ready(service, "takeout")
    page.go(service, order["tracking_url"])
    assert not page.all("#undo details")
    done = service.request("POST", f"{order['tracking_url']}/cancel")
    assert done.status == 303
    assert service.request("GET", order["tracking_url"]).json["status"] == "ready"


def test_an_unknown_token_shows_a_page_with_the_error(service, page):
    page.expect("404")
    page.go(service, "/track/20240101_001." + "0" * 40)
    page.sees("main", "There is no order with this token.")


def test_programs_get_json_at_the_same_address(service):
    url = placed(service, "dine-in")["tracking_url"]
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        reply = service.request("GET", url, headers=accept)
        assert reply.headers["Content-Type"] == "application/json"
        assert "Accept" in reply.headers["Vary"]
    html = service.request("GET", url, headers={"Accept": "text/html,*/*;q=0.8"})
    assert html.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert html.headers["Content-Type"] == "text/html; charset=utf-8"
    same = service.request(
        "GET", url, headers={"Accept": "text/html", "If-None-Match": html.headers["ETag"]}
    )
    assert same.status == 304
