"""Kitchen, quality, packaging, courier, and orders that skip stations or are sent back."""

from __future__ import annotations

import time

import pytest

from devservices.proc import cpu_seconds

from ...support.restaurant import Restaurant, eventually, meal

WALKS = {
    "dine-in": ["quality"],
    "takeout": ["quality", "packaging"],
    "delivery": ["quality", "packaging", "courier"],
}
_STAGES = """
select t.stage, t.worker, t.outcome from order_stage t join orders o on o.id = t.order_id
where o.number = %s order by t.id
"""


@pytest.fixture
def restaurant(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open(stations="quality,packaging,courier")
    return restaurant


def staff(restaurant: Restaurant, *stations: str, **options: object):
    """One worker at each of these stations."""
    workers = [
        restaurant.start_cook_soon(f"{name}_1", station=name, station_time=0.1, **options)
        for name in stations
    ]
    for worker in workers:
        worker.wait_for("worker_connected")
    return workers


def order(restaurant: Restaurant, number: str) -> dict:
    return restaurant.ledger.orders()[number]


def stages(restaurant: Restaurant, number: str) -> list[tuple]:
    return [(row["stage"], row["outcome"]) for row in restaurant.ledger.rows(_STAGES, number)]


def test_each_order_passes_the_stations_of_its_type(restaurant):
    restaurant.start_cook("chef")
    staff(restaurant, "quality", "packaging", "courier")
    numbers = {kind: restaurant.place(kind) for kind in WALKS}
    restaurant.ledger.wait_for("delivered", [numbers["delivery"]], 15)
    for kind in ("dine-in", "takeout"):
        eventually(lambda k=kind: order(restaurant, numbers[k])["stage"] == "handover", 10, kind)
        assert order(restaurant, numbers[kind])["status"] == "ready"
    for kind, walk in WALKS.items():
        assert stages(restaurant, numbers[kind]) == [(name, "done") for name in walk]
    log = [row.status for row in restaurant.ledger.log(numbers["delivery"])]
    assert log == ["received", "cooking", "ready", "out-for-delivery", "delivered"]
    assert order(restaurant, numbers["delivery"])["stage"] is None


def test_a_station_that_is_not_staffed_is_left_out(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open(stations="packaging")
    restaurant.start_cook("chef")
    staff(restaurant, "packaging")
    table, counter = restaurant.place("dine-in"), restaurant.place("takeout")
    restaurant.ledger.wait_for("ready", [table, counter], 15)
    eventually(lambda: order(restaurant, counter)["stage"] == "handover", 10, "packed")
    assert order(restaurant, table)["stage"] == "handover"
    assert stages(restaurant, counter) == [("packaging", "done")]
    assert stages(restaurant, table) == []


def test_quality_sends_back_and_the_order_is_cooked_again(restaurant):
    restaurant.start_cook("chef")
    (inspector,) = staff(restaurant, "quality", send_back_percent=100)
    number = restaurant.place("dine-in")
    eventually(lambda: len(restaurant.ledger.cookings()) >= 2, 15, "cooked again")
    assert inspector.stop() == 0
    staff(restaurant, "packaging")
    restaurant.start(
        "mild",
        "--mode=kitchen-worker",
        "--worker-name=mild",
        "--station=quality",
        "--station-time=0",
    ).wait_for("worker_connected")
    eventually(lambda: order(restaurant, number)["stage"] == "handover", 15, "good enough at last")
    log = restaurant.ledger.log(number)
    assert [row.status for row in log][:4] == ["received", "cooking", "ready", "received"]
    assert log[3].notes == "sent back by quality_1: did not pass the quality check"
    assert [row.sequence for row in log] == list(range(1, len(log) + 1))


def test_a_station_with_order_types_logs_that_it_takes_every_order(restaurant):
    restaurant.start_cook("chef")
    (inspector,) = staff(restaurant, "quality", order_types="takeout")
    number = restaurant.place("dine-in")
    eventually(lambda: order(restaurant, number)["stage"] == "handover", 15, "checked all the same")
    assert [line["level"] for line in inspector.said("order_types_ignored")] == ["WARN"]


def test_a_station_worker_that_dies_is_replaced_and_nothing_happens_twice(restaurant):
    restaurant.start_cook("chef")
    staff(restaurant, "quality", "packaging")
    doomed = restaurant.start_cook("doomed", station="courier", station_time=20)
    number = restaurant.place("delivery")
    restaurant.ledger.wait_for("out-for-delivery", [number], 15)
    doomed.kill()
    staff(restaurant, "courier")
    restaurant.ledger.wait_for("delivered", [number], 20)
    statuses = [row.status for row in restaurant.ledger.log(number)]
    assert statuses == ["received", "cooking", "ready", "out-for-delivery", "delivered"]


def test_stations_take_urgent_orders_first(restaurant):
    restaurant.start_cook("chef")
    numbers = [restaurant.place("dine-in", rush=rush) for rush in (False, False, True)]
    restaurant.ledger.wait_for("ready", numbers, 15)
    staff(restaurant, "quality")
    eventually(
        lambda: all(order(restaurant, each)["stage"] == "handover" for each in numbers),
        15,
        "checked",
    )
    rows = restaurant.ledger.rows(
        "select o.number from order_stage t join orders o on o.id = t.order_id order by t.id"
    )
    assert [row["number"] for row in rows] == [numbers[2], numbers[0], numbers[1]]


def test_cooks_by_tag_share_the_menu(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open()
    pizza, salad, both, sushi = (
        restaurant.place(items=[{"name": name, "quantity": 1, "price": 9} for name in names])
        for names in (
            ["Margherita Pizza"],
            ["Caesar Salad"],
            ["Family Pizza", "Greek Salad"],
            ["Sushi"],
        )
    )
    mario = restaurant.start_cook("chef_mario", order_types="pizza,pasta")
    restaurant.ledger.wait_for("ready", [pizza], 15)
    assert mario.said("worker_registered")[0]["message"] == (
        "Worker registered for order types: pizza,pasta"
    )
    restaurant.start_cook("chef_luigi", order_types="salad,soup")
    restaurant.ledger.wait_for("ready", [salad], 15)
    # An order with both tags is for a cook with both, an unknown dish for a cook without tags.
    restaurant.start_cook("chef_twice", order_types="salad,pizza")
    restaurant.ledger.wait_for("ready", [both], 15)
    assert order(restaurant, sushi)["status"] == "received"
    restaurant.start_cook("chef_anna")
    restaurant.ledger.wait_for("ready", [sushi], 15)
    by = {
        number: order(restaurant, number)["processed_by"] for number in (pizza, salad, both, sushi)
    }
    assert list(by.values()) == ["chef_mario", "chef_luigi", "chef_twice", "chef_anna"]


def test_a_cook_without_suitable_orders_causes_no_load(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open()
    salad = [{"name": "Caesar Salad", "quantity": 1, "price": 8.99}]
    numbers = [restaurant.place(items=salad) for _ in range(50)]
    mario = restaurant.start_cook("chef_mario", order_types="pizza")
    time.sleep(2)
    roots = (mario.process.pid, restaurant.servers.rabbitmq.process.pid)
    before = sum(map(cpu_seconds, roots))
    time.sleep(6)
    assert sum(map(cpu_seconds, roots)) - before < 6 * 0.05
    # They are cooked as soon as a cook with their tag starts.
    restaurant.start_cook("chef_luigi", order_types="salad")
    restaurant.ledger.wait_for("ready", numbers, 20)


def test_a_word_that_is_not_on_the_menu_is_refused_with_those_that_are(new_restaurant):
    restaurant = new_restaurant()
    cook = restaurant.start_cook_soon("chef_lost", order_types="pizza,sushi")
    cook.refused(
        "--order-types (ORDER_TYPES) knows dine-in, takeout, delivery, dessert, drink, grill, "
        "pasta, pizza, salad, soup, not 'sushi'."
    )


def test_an_order_message_of_another_program_is_cooked(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open()
    restaurant.start_cook("chef")
    message = {
        "order_number": "ORD_20241216_001",
        "customer_name": "Jane",
        "customer_type": "vip",
        "order_type": "delivery",
        "table_number": None,
        "delivery_address": "123 Main St, City",
        "items": [{"name": "Margherita Pizza", "quantity": 1, "price": 15.99}],
        "total_amount": 15.99,
        "priority": 10,
    }
    restaurant.publish("orders_direct", "kitchen.order", message)
    restaurant.publish("orders_direct", "kitchen.delivery", {**message, "customer_name": "Joe"})
    restaurant.publish("orders_direct", "kitchen.order", {**message, "total_amount": 99})
    eventually(lambda: restaurant.ledger.count("ready") == 2, 15, "both are cooked")
    rows = restaurant.ledger.orders().values()
    assert {(row["customer_name"], row["priority"]) for row in rows} == {("Jane", 10), ("Joe", 10)}
    (dead_letter,) = restaurant.dead_letters(1)
    assert dead_letter["reason"] == "total_amount is 99, but the items cost 15.99"


def test_aging_promotes_an_order_that_waits_too_long(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open(ageing=1)
    old = restaurant.place("takeout")
    eventually(lambda: order(restaurant, old)["priority"] == 10, 10, "aged")
    new = restaurant.place("takeout", rush=True)
    cook = restaurant.start_cook("chef")
    restaurant.ledger.wait_for("ready", [old, new], 15)
    assert [row.number for row in restaurant.ledger.cookings()] == [old, new]
    notes = [row.notes for row in restaurant.ledger.log(old)]
    assert "priority 1 → 10: waited over 1 s" in notes
    assert cook.stop() == 0


def test_estimates_follow_the_queue(new_restaurant):
    restaurant = new_restaurant()
    restaurant.open()
    numbers = [restaurant.place("takeout") for _ in range(6)]
    restaurant.start_cooks(["chef_1", "chef_2"], cooking_time=1)
    restaurant.ledger.wait_for("ready", numbers, 30)
    # By now the average of a takeout is one second.
    eventually(
        lambda: restaurant.ledger.rows("select 1 from cooking_time_avg where seconds < 2"),
        20,
        "measured",
    )
    started = restaurant.ledger.rows("select now() as now")[0]["now"]
    again = [restaurant.place_document(meal("takeout"))["estimated_completion"] for _ in range(1)]
    assert again
    restaurant.ledger.wait_for("ready", list(restaurant.ledger.orders()), 15)
    estimate = restaurant.ledger.rows(
        "select extract(epoch from %s::timestamptz - %s)::float8 as s", again[0], started
    )[0]["s"]
    assert 0 < estimate < 4
