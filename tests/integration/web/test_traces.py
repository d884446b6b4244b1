"""The messages about an order carry its trace, whichever process sends them."""

from __future__ import annotations

from flask.testing import FlaskClient

from pizza.database.connection import BoundedConnection
from pizza.kitchen import storage as kitchen

from .conftest import Cook, post

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{ID}-00f067aa0ba902b7-01"

MEAL = {
    "customer_name": "Jo",
    "order_type": "takeout",
    "items": [{"name": "Margherita Pizza", "quantity": 1, "price": 15.99}],
}


def place(client: FlaskClient, **headers: str) -> str:
    answer = post(client, "/orders", MEAL, **headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json["order_number"])


def traces(conn: BoundedConnection) -> list[tuple[str, str]]:
    """What is to be published, oldest first: its routing key, its traceparent."""
    rows = conn.execute(
        "select routing_key, headers->>'traceparent' from message order by position"
    )
    return [(key, parent) for key, parent in rows.fetchall()]


def test_the_task_and_the_event_of_an_order_belong_to_the_trace_of_its_request(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    place(client, traceparent=GIVEN)
    assert traces(conn) == [("kitchen.takeout.1", GIVEN), ("order.received", GIVEN)]


def test_orders_under_a_key_belong_to_the_trace_of_their_request(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    headers = {"traceparent": GIVEN, "Idempotency-Key": "k-1"}
    assert place(client, **headers) == place(client, **headers)
    assert [parent for _, parent in traces(conn)] == [GIVEN, GIVEN]


def test_a_request_without_a_trace_begins_one(client: FlaskClient, conn: BoundedConnection) -> None:
    place(client)
    place(client)
    task, event, other, _ = (parent for _, parent in traces(conn))
    assert task == event
    assert task != other


def test_events_of_later_changes_belong_to_the_trace_of_the_order(
    client: FlaskClient, conn: BoundedConnection, cook: Cook
) -> None:
    number = place(client, traceparent=GIVEN)
    kitchen.set_stations(conn, ["quality"])
    conn.execute("delete from message where task is null")
    raised = client.post(f"/orders/{number}/priority", json={"priority": 9, "reason": "late"})
    assert raised.status_code == 200
    cook(number)
    # At hand-over the order has no message with a trace
    conn.execute("delete from message where task is not null")
    back = client.post(f"/orders/{number}/send-back", json={"reason": "burnt"})
    assert back.status_code == 200, back.text
    assert client.post(f"/orders/{number}/cancel").status_code == 200
    found = traces(conn)
    assert {parent for _, parent in found} == {GIVEN}
    assert [key for key, _ in found] == ["order.received", "order.received", "order.cancelled"]
