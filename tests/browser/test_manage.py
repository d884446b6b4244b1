"""The manager's page: what it shows, and what a click of it changes."""

from __future__ import annotations

import json

import kombu

from ..support.waiting import wait_until
from .test_track import ready


def test_it_shows_workers_queues_figures_and_todays_report(house, visitor):
    ready(house, "takeout")
    visitor.go(house, "/manage")
    visitor.sees("#workers", "chef_mario")
    visitor.sees("#workers .state", "online")
    visitor.sees("#queues", "Relay: leading")
    visitor.sees("#report", "takeout")
    bars = visitor.run("return [...document.querySelectorAll('#charts rect')]"
                       ".map(r => +r.getAttribute('height'))")  # fmt: skip
    assert len(bars) >= 60 and max(bars) > 10
    assert "placed at most" in visitor.find("#charts svg").get_attribute("aria-label")


def test_a_dish_is_sold_out_with_a_click_and_offered_again(house, visitor):
    sold_out = lambda: house.query("select sold_out from menu where name = 'Lasagne'")[0][0]  # noqa: E731
    visitor.go(house, "/manage")
    visitor.click("#menu-lasagne")
    visitor.sees("#menu-lasagne", "Back on")
    assert sold_out()
    visitor.click("#menu-lasagne")
    visitor.sees("#menu-lasagne", "Sold out")
    assert not sold_out()


def test_a_dish_that_cannot_be_is_refused_in_words(house, visitor):
    visitor.expect("422")
    visitor.go(house, "/manage")
    visitor.click("#menu ~ details summary")
    for name, text in (("dish", "Pizza Nova"), ("tag", "Not A Tag")):
        visitor.find(f"#{name}").send_keys(text)
    visitor.click("[value=add]")
    visitor.sees(".problem", "must be a lower-case word")


def test_the_kitchen_is_paused_with_a_reason_and_guests_are_told(house, visitor):
    visitor.go(house, "/manage")
    visitor.find("#reason").send_keys("The oven is cold")
    visitor.click("[value=pause]")
    visitor.sees("#state", "Paused (The oven is cold)")
    order = {"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 1, "price": 1}]}
    try:
        assert house.order(order).status == 503
    finally:
        visitor.click("[value=resume]")
    visitor.sees("#state", "Taking orders")
    assert house.order(order).status == 201


def test_what_somebody_else_changes_shows_by_itself(house, visitor):
    visitor.go(house, "/manage")
    visitor.sees("#state", "Taking orders")
    house.request("POST", "/kitchen/pause", b'{"reason": "inventory"}')
    try:
        visitor.sees("#state", "inventory", 10)
        visitor.sees("#pause", "Take orders again")
    finally:
        house.request("POST", "/kitchen/resume")


def test_dead_letters_of_release_0_2_are_read_dropped_and_sent_again(house, visitor):
    headers = {"reason": "The dough is off", "died_in": "no_such_queue", "task": "bake"}
    with kombu.Connection(house.broker_url) as link:
        producer = link.Producer()
        for number in (1, 2):
            producer.publish(
                json.dumps({"loaf": number}), routing_key="dead_letter_queue", headers=headers,
                message_id=f"00000000-0000-4000-8000-00000000000{number}",
                content_type="application/json",
            )  # fmt: skip
    rows = lambda: house.query("select count(*) from dead_message")[0][0]  # noqa: E731
    wait_until(lambda: rows() == 2, 30, "the keeper has found them")
    visitor.go(house, "/manage/dead-letters")
    visitor.sees(".dead-letters", "The dough is off")
    assert len(visitor.all(".dead-letters > li")) == 2
    visitor.click(".dead-letters > li [value=drop]")
    wait_until(lambda: len(visitor.all(".dead-letters > li")) == 1, 10, "one is left")
    visitor.click(".dead-letters > li [value=retry]")
    visitor.sees("main", "No failed messages.")
    sent = house.query("select id::text from message where task = 'bake'")
    assert sent == [("00000000-0000-4000-8000-000000000002",)]
    house.query("delete from message where task = 'bake' returning 1")
