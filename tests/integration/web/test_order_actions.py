"""Changes of orders by staff over HTTP, on a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from pizza.database.connection import BoundedConnection


def post(client: FlaskClient, number: str, verb: str, body: Any = None, **headers: str) -> Any:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/orders/{number}/{verb}", json=body, headers=more)


def log(client: FlaskClient, number: str) -> list[tuple[str, str, str | None]]:
    history = client.get(f"/orders/{number}/history").json
    return [(row["status"], row["changed_by"], row["notes"]) for row in history]


def test_a_customer_cancels_a_received_order(client: FlaskClient, place: Any) -> None:
    number = place()

    answer = client.post(f"/orders/{number}/cancel")

    assert answer.status_code == 200
    assert (answer.json["current_status"], answer.json["stage"]) == ("cancelled", None)
    assert answer.headers["ETag"].startswith('"2-')
    assert log(client, number)[-1] == ("cancelled", "customer", None)


def test_only_staff_cancels_a_cooking_order_and_with_a_reason(
    client: FlaskClient, place: Any, cook: Any, conn: BoundedConnection
) -> None:
    number = place()
    cook(number, "cooking")

    refused = post(client, number, "cancel")
    assert refused.status_code == 409
    assert refused.json["current_status"] == "cooking"
    assert refused.json["allowed_statuses"] == []
    done = post(client, number, "cancel", {"reason": "The guest has left", "by": "anna"})

    assert done.status_code == 200
    assert log(client, number)[-1] == ("cancelled", "anna", "staff: The guest has left")
    assert conn.execute("select count(*) from message where task is not null").fetchone() == (0,)


@pytest.mark.parametrize("kind", ["dine-in", "takeout"])
def test_a_ready_order_is_handed_over_once(
    client: FlaskClient, place: Any, cook: Any, kind: str
) -> None:
    number = place(kind)
    early = post(client, number, "deliver")
    assert (early.status_code, early.json["current_status"]) == (409, "received")
    cook(number)

    assert post(client, number, "deliver", {"by": "anna"}).json["current_status"] == "delivered"

    again = post(client, number, "deliver")
    assert (again.status_code, again.json["allowed_statuses"]) == (409, [])
    assert log(client, number)[-1] == ("delivered", "anna", None)


def test_a_delivery_goes_out_before_it_is_delivered(
    client: FlaskClient, place: Any, cook: Any
) -> None:
    number = place("delivery")
    cook(number)

    steps = [post(client, number, "deliver").json["current_status"] for _ in range(2)]

    assert steps == ["out-for-delivery", "delivered"]


def test_an_order_that_is_sent_back_is_cooked_again_before_all_others(
    client: FlaskClient, place: Any, cook: Any, conn: BoundedConnection
) -> None:
    number = place()
    conn.execute("delete from message where task = 'cook_order'")
    cook(number)

    answer = post(client, number, "send-back", {"reason": "Burnt", "by": "anna"})

    assert (answer.json["current_status"], answer.json["stage"]) == ("received", "kitchen")
    assert log(client, number)[-1] == ("received", "anna", "staff: Burnt")
    waiting = "select task, priority from message where task is not null"
    assert conn.execute(waiting).fetchall() == [("cook_order", 10)]


def test_another_priority_moves_a_waiting_order_and_is_logged(
    client: FlaskClient, place: Any, conn: BoundedConnection
) -> None:
    number = place()

    answer = post(client, number, "priority", {"priority": 9, "reason": "Birthday", "by": "anna"})

    assert answer.json["priority"] == 9
    assert log(client, number)[-1] == (
        "received",
        "anna",
        "priority 1 → 9: manual override: Birthday",
    )
    row = conn.execute("select priority from message where task = 'cook_order'").fetchone()
    assert row == (9,)


def test_a_priority_out_of_range_or_too_late_is_refused(
    client: FlaskClient, place: Any, cook: Any
) -> None:
    number = place()
    bad = post(client, number, "priority", {"priority": 11, "reason": "x"})
    assert (bad.status_code, bad.json["errors"][0]["field"]) == (422, "priority")
    cook(number)

    late = post(client, number, "priority", {"priority": 9, "reason": "x"})

    assert late.status_code == 409
    assert set(late.json["allowed_statuses"]) == {"received", "delivered", "cancelled"}
    assert late.json["detail"] == "An order that is ready cannot get another priority."


def test_an_order_that_has_changed_is_412_and_stays(client: FlaskClient, place: Any) -> None:
    number = place()
    seen = client.get(f"/orders/{number}").headers["ETag"]
    post(client, number, "priority", {"priority": 7, "reason": "x"}, If_Match=seen)

    stale = post(client, number, "cancel", If_Match=seen)

    assert stale.status_code == 412
    assert stale.json["version"] == 2
    fresh = client.get(f"/orders/{number}/status").headers["ETag"]
    assert post(client, number, "cancel", If_Match=fresh).status_code == 200


def test_of_many_at_once_with_the_same_tag_one_changes_the_order(
    client: FlaskClient, place: Any
) -> None:
    number = place()
    tag = client.get(f"/orders/{number}/status").headers["ETag"]

    def change(priority: int) -> int:
        body = {"priority": priority, "reason": "x"}
        return (
            client.application.test_client()
            .post(f"/orders/{number}/priority", json=body, headers={"If-Match": tag})
            .status_code
        )

    with ThreadPoolExecutor(4) as crowd:
        found = list(crowd.map(change, range(2, 10)))

    assert sorted(found) == [200] + [412] * 7
    assert len(log(client, number)) == 2


@pytest.mark.parametrize("verb", ["cancel", "deliver", "send-back", "priority"])
def test_an_unknown_order_is_404(client: FlaskClient, verb: str) -> None:
    body = {"reason": "x"} if verb in ("cancel", "send-back") else {}
    body = {"priority": 3, "reason": "x"} if verb == "priority" else body
    for number in ("ORD_20241216_001", "nonsense", "%00"):
        for tag in ('"1"', '"1", "2"'):
            answer = post(client, number, verb, body, If_Match=tag)
            assert answer.status_code == 404, answer.data


def test_words_that_no_log_should_have_are_refused(client: FlaskClient, place: Any) -> None:
    number = place()
    for body in ({"reason": "x\x00"}, {"reason": ""}, {"reason": "x" * 301}, {"reason": "\ud800"}):
        answer = post(client, number, "cancel", body)
        assert answer.status_code == 422
        assert answer.json["errors"][0]["field"] == "reason"
    assert post(client, number, "cancel", {"by": " " * 3}).status_code == 422


def test_a_history_that_has_not_grown_is_not_sent_again(client: FlaskClient, place: Any) -> None:
    address = f"/orders/{place()}/history"
    first = client.get(address)
    known = {"If-None-Match": first.headers["ETag"]}
    again = client.get(address, headers=known)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.post(address.replace("history", "cancel"), json={}).status_code == 200
    grown = client.get(address, headers=known)
    assert (grown.status_code, len(grown.json)) == (200, 2)
