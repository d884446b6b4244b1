"""Lists, menu, kitchen, customers and workers over HTTP, on a real database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from pizza.database.connection import BoundedConnection
from pizza.kitchen import worker_storage
from pizza.kitchen.worker_storage import WorkerProfile


def numbers(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.data
    return [order["order_number"] for order in answer.json]


def test_a_whole_order(client: FlaskClient, place: Any, cook: Any) -> None:
    number = place("delivery", rush=True)
    cook(number, waited=2, cooked=3)

    answer = client.get(f"/orders/{number}")

    assert answer.headers["ETag"].startswith('"3-')
    document = answer.json
    times = [document.pop(name) for name in ("created_at", "started_at", "completed_at")]
    assert times == sorted(times)
    assert document.pop("promised_at") == document.pop("estimated_completion")
    del document["updated_at"]
    assert document == {
        "order_number": number,
        "status": "ready",
        "stage": "handover",
        "customer_name": "Jo",
        "customer_type": "regular",
        "order_type": "delivery",
        "table_number": None,
        "delivery_address": "123 Main St",
        "items": [{"name": "Margherita Pizza", "quantity": 1, "price": 15.99}],
        "total_amount": 15.99,
        "priority": 10,
        "rush": True,
        "processed_by": "mario",
        "version": 3,
    }
    status = client.get(f"/orders/{number}/status").json
    assert (status["stage"], status["rush"], status["total_amount"]) == ("handover", True, 15.99)
    assert client.get("/orders/ORD_20241216_001").status_code == 404


def test_pages_of_orders_follow_each_other_newest_first(client: FlaskClient, place: Any) -> None:
    placed = [place() for _ in range(7)]

    seen, path = [], "/orders?limit=3"
    while path:
        answer = client.get(path)
        seen += numbers(answer)
        link = answer.headers.get("Link")
        path = link.split(">")[0][1:] if link else ""
        assert link is None or link.endswith('; rel="next"')

    assert seen == placed[::-1]
    assert numbers(client.get(f"/orders?before={placed[0]}")) == []
    assert client.get("/orders?before=ORD_20241216_001").status_code == 422


def test_orders_are_found_by_status_and_type(client: FlaskClient, place: Any, cook: Any) -> None:
    dine_in, takeout, ready = place("dine-in"), place(), place()
    cook(ready)

    assert numbers(client.get("/orders?status=ready")) == [ready]
    assert numbers(client.get("/orders?type=takeout")) == [ready, takeout]
    assert numbers(client.get("/orders?status=received&type=dine-in")) == [dine_in]
    link = client.get("/orders?type=takeout&limit=1").headers["Link"]
    assert link == f'</orders?type=takeout&limit=1&before={ready}>; rel="next"'


def test_an_order_with_a_sold_out_dish_is_refused_by_name(client: FlaskClient, place: Any) -> None:
    marked = client.post("/menu/margherita pizza/sold-out")
    assert marked.json == {
        "name": "Margherita Pizza",
        "tag": "pizza",
        "price": 15.99,
        "sold_out": True,
    }

    meal = {
        "customer_name": "Jo",
        "items": [{"name": "MARGHERITA Pizza", "quantity": 1, "price": 1}],
    }
    refused = client.post("/orders", data=json.dumps(meal))

    assert refused.status_code == 409
    assert "Margherita Pizza" in refused.json["detail"]
    assert client.post("/menu/Margherita Pizza/available").json["sold_out"] is False
    place()


def test_a_dish_is_added_and_changed(client: FlaskClient) -> None:
    body = {"name": "Pizza Funghi", "tag": "pizza", "price": 16.5}
    assert client.post("/menu", json=body).json == body | {"sold_out": False}
    client.post("/menu/Pizza Funghi/sold-out")

    changed = client.post("/menu", json={"name": "pizza funghi", "tag": "special"})

    assert changed.json == {
        "name": "Pizza Funghi",
        "tag": "special",
        "price": None,
        "sold_out": True,
    }
    assert changed.json in client.get("/menu").json
    bad = client.post("/menu", json={"name": "\t\x00", "tag": "takeout", "price": 1.001})
    assert [error["field"] for error in bad.json["errors"]] == ["name", "tag", "price"]
    assert client.post("/menu/Sushi/sold-out").status_code == 404


def test_a_dish_is_taken_off_the_menu_once(client: FlaskClient) -> None:
    gone = client.delete("/menu/minestrone")
    assert (gone.status_code, gone.data) == (204, b"")
    assert "Minestrone" not in {dish["name"] for dish in client.get("/menu").json}
    assert client.delete("/menu/Minestrone").status_code == 404


def test_a_paused_kitchen_answers_503_with_retry_after(client: FlaskClient, place: Any) -> None:
    paused = client.post("/kitchen/pause", json={"reason": "The oven is cold", "by": "anna"})
    assert paused.json["paused"] is True
    assert paused.json["changed_by"] == "anna"

    meal = {"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 1, "price": 1}]}
    refused = client.post("/orders", data=json.dumps(meal))

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert "The oven is cold" in refused.json["detail"]
    assert client.get("/kitchen").json["reason"] == "The oven is cold"
    assert client.post("/kitchen/resume").json["paused"] is False
    place()


def test_a_customer_becomes_a_vip_from_the_next_order_on(client: FlaskClient, place: Any) -> None:
    assert client.get("/customers/Jo").status_code == 404
    first = place()
    known = client.get("/customers/jO").json
    assert (known["name"], known["vip"], known["orders"], known["repeat"]) == ("Jo", False, 1, True)

    vip = client.post("/customers/Jo/vip", json={"vip": True, "by": "anna"}).json

    assert (vip["vip"], vip["vip_set_by"], vip["spent"]) == (True, "anna", 15.99)
    second = client.get(f"/orders/{place()}").json
    assert (second["customer_type"], second["priority"]) == ("vip", 10)
    assert client.get(f"/orders/{first}").json["priority"] == 1
    assert client.post("/customers/Jo/vip", json={"vip": False}).json["vip"] is False
    assert client.get(f"/orders/{place()}").json["priority"] == 5
    for number in (first, second["order_number"]):
        client.post(f"/orders/{number}/cancel")
    counted = client.get("/customers/Jo").json
    assert (counted["orders"], counted["cancelled"], counted["spent"]) == (3, 2, 15.99)


def test_a_customer_without_orders_may_be_a_vip(client: FlaskClient) -> None:
    answer = client.post("/customers/Dr. No/vip", json={"vip": True})

    assert (answer.json["name"], answer.json["orders"], answer.json["repeat"]) == (
        "Dr. No",
        0,
        False,
    )
    assert client.post("/customers/%00/vip", json={"vip": True}).status_code == 422


@pytest.fixture
def staff(conn: BoundedConnection) -> None:
    posts = {
        "luigi": WorkerProfile("cook", "kitchen", ("takeout",), ("pizza", "pasta")),
        "mario": WorkerProfile("cook", "kitchen", cooking_time=10.0),
        "quinn": WorkerProfile("quality", "quality"),
    }
    for name, post in posts.items():
        assert worker_storage.register_worker(conn, name, post, 10) == "registered"


def test_workers_are_shown_with_their_profile_and_averages(
    client: FlaskClient, place: Any, cook: Any, staff: None, conn: BoundedConnection
) -> None:
    for seconds in range(1, 12):
        cook(number := place(), by="mario", waited=seconds, cooked=2 * seconds)
    conn.execute(
        "insert into order_stage (order_id, stage, worker, started_at, finished_at)"
        " select id, 'quality', 'quinn', completed_at + interval '3 s',"
        " completed_at + interval '5 s'"
        " from orders where number = %s",
        [number],
    )

    luigi, mario, quinn = client.get("/workers/status").json

    assert (luigi["station"], luigi["order_types"]) == ("kitchen", ["takeout"])
    assert (luigi["tags"], luigi["avg_cooking_seconds"]) == (["pizza", "pasta"], None)
    figures = [mario[f"{kind}_seconds"] for kind in ("avg_cooking", "p90_cooking", "avg_waiting")]
    assert figures == [12, 20, 6]
    assert mario["p90_waiting_seconds"] == 10
    row = conn.execute("select max(completed_at) from orders").fetchone()
    assert row is not None
    assert mario["last_order_at"][:-1] == row[0].isoformat(timespec="milliseconds")[:23]
    assert (quinn["station"], quinn["avg_cooking_seconds"], quinn["avg_waiting_seconds"]) == (
        "quality",
        2,
        3,
    )
