"""The kitchen's board over HTTP, on a real database."""

from __future__ import annotations

from flask.testing import FlaskClient

from pizza.database.connection import BoundedConnection
from pizza.reports import storage as reports


def numbers(client: FlaskClient) -> list[str]:
    return [each["order_number"] for each in client.get("/kitchen/board").json]


def test_the_board_has_open_orders_most_urgent_first(client, place, cook, conn):
    first, second = place("takeout", priority=1), place("dine-in", rush=True)
    done, given, gone = (place("takeout", priority=1) for _ in range(3))
    for number in (done, given):
        cook(number)
    client.post(f"/orders/{given}/deliver")
    client.post(f"/orders/{gone}/cancel")

    assert numbers(client) == [second, first, done, gone]
    found = client.get("/kitchen/board").json
    assert [each["status"] for each in found] == ["received", "received", "ready", "cancelled"]
    assert found[0]["rush"] is True
    assert found[0]["items"][0].keys() == {"name", "quantity"}
    conn.execute(
        "update orders set updated_at = now() - interval '3 min' where number = %s", [gone]
    )
    assert numbers(client) == [second, first, done]


def test_a_board_that_has_not_changed_is_304(client, place):
    place("takeout")
    first = client.get("/kitchen/board")
    again = client.get("/kitchen/board", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    place("takeout")
    assert (
        client.get("/kitchen/board", headers={"If-None-Match": first.headers["ETag"]}).status_code
        == 200
    )


def test_throughput_counts_each_minute_and_those_without_orders(
    conn: BoundedConnection, client, place, cook
):
    done, waiting, old = place("takeout"), place("takeout"), place("takeout")
    cook(done)
    with conn.transaction():  # in which it is the same moment all the time
        conn.execute(
            "update orders set created_at = case number when %s"
            " then date_trunc('minute', now()) - interval '150 s' else now() end,"
            " completed_at = case number when %s then now() end",
            [old, done],
        )
        found = reports.orders_per_minute(conn, 5)
    assert [each.placed for each in found] == [0, 1, 0, 0, 2]
    assert [each.ready for each in found] == [0, 0, 0, 0, 1]
    assert waiting
