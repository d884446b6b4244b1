"""The manager's page: what it shows, and what its buttons change."""

from __future__ import annotations

import json

import kombu

from ..support.waiting import wait_until
from .test_track import ready


def test_it_shows_workers_queues_charts_and_todays_report(service, page):
    ready(service, "takeout")
    page.go(service, "/manage")
    page.sees("#workers", "chef_mario")
    page.sees("#workers .state", "online")
    page.sees("#queues", "Relay: leading")
    page.sees("#report", "takeout")
    bars = page.run(
        "return [...document.querySelectorAll('#charts rect')].map(r => +r.getAttribute('height'))"
    )
    assert len(bars) >= 60 and max(bars) > 10
    assert "placed at most" in page.find("#charts svg").get_attribute("aria-label")


def test_a_dish_is_sold_out_with_a_click_and_offered_again(service, page):
    sold_out = lambda: service.query("select sold_out from menu where name = 'Lasagne'")[0][0]  # noqa: E731
    page.go(service, "/manage")
    page.click("#menu-lasagne")
    page.sees("#menu-lasagne", "Back on")
    assert sold_out()
    page.click("#menu-lasagne")
    page.sees("#menu-lasagne", "Sold out")
    assert not sold_out()


def test_a_dish_that_cannot_be_is_refused_in_words(service, page):
    page.expect("422")
    page.go(service, "/manage")
    page.click("#menu ~ details summary")
    for name, text in (("dish", "Pizza Nova"), ("tag", "Not A Tag")):
        page.find(f"#{name}").send_keys(text)
    page.click("[value=add]")
    page.sees(".problem", "must be a lower-case word")


def test_while_the_kitchen_is_paused_orders_are_503(service, page):
    page.go(service, "/manage")
    page.find("#reason").send_keys("The oven is cold")
    page.click("[value=pause]")
    page.sees("#state", "Paused (The oven is cold)")
    order = {"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 1, "price": 1}]}
    try:
        assert service.order(order).status == 503
    finally:
        page.click("[value=resume]")
    page.sees("#state", "Taking orders")
    assert service.order(order).status == 201


def test_a_change_by_another_client_shows_by_itself(service, page):
    page.go(service, "/manage")
    page.sees("#state", "Taking orders")
    service.request("POST", "/kitchen/pause", b'{"reason": "inventory"}')
    try:
        page.sees("#state", "inventory", 10)
        page.sees("#pause", "Take orders again")
    finally:
        service.request("POST", "/kitchen/resume")


def test_dead_letters_of_release_0_2_are_read_dropped_and_sent_again(service, page):
    headers = {"reason": "The dough is off", "died_in": "no_such_queue", "task": "bake"}
    with kombu.Connection(service.broker_url) as link:
        producer = link.Producer()
        for number in (1, 2):
            producer.publish(
                json.dumps({"loaf": number}),
                routing_key="dead_letter_queue",
                headers=headers,
                message_id=f"00000000-0000-4000-8000-00000000000{number}",
                content_type="application/json",
            )
    rows = lambda: service.query("select count(*) from dead_message")[0][0]  # noqa: E731
    wait_until(lambda: rows() == 2, 30, "the keeper has found them")
    page.go(service, "/manage/dead-letters")
    page.sees(".dead-letters", "The dough is off")
    assert len(page.all(".dead-letters > li")) == 2
    page.click(".dead-letters > li [value=drop]")
    wait_until(lambda: len(page.all(".dead-letters > li")) == 1, 10, "one is left")
    page.click(".dead-letters > li [value=retry]")
    page.sees("main", "No failed messages.")
    sent = service.query("select id::text from message where task = 'bake'")
    assert sent == [("00000000-0000-4000-8000-000000000002",)]
    service.query("delete from message where task = 'bake' returning 1")
