"""Status requests by message: carried out once, refused with a reason, answered."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from pizza.database.connection import BoundedConnection
from pizza.tracking.status_requests import handle_request

from ...support.order_events import event, place


def ask(
    conn: BoundedConnection, body: Any, id: str | None = None, **properties: Any
) -> dict[str, Any] | None:
    """Ask, with a queue to answer to; the answer."""
    conn.execute("delete from message")
    asked = event(body, id, **{"reply_to": "my answers", "correlation_id": "7"} | properties)
    with conn.transaction():
        handle_request(asked, conn)()
    rows = conn.execute(
        "select body, headers from message where exchange = '' and routing_key = 'my answers'"
    ).fetchall()
    assert len(rows) <= 1
    for body, headers in rows:
        assert headers["correlation_id"] == "7"
        return json.loads(body)
    return None


def dead_letters(conn: BoundedConnection) -> list[str]:
    rows = conn.execute("select headers ->> 'reason' from message where exchange = 'dead_letters'")
    return [reason for (reason,) in rows.fetchall()]


def status_of(conn: BoundedConnection, number: str) -> str:
    row = conn.execute("select status from orders where number = %s", [number]).fetchone()
    assert row is not None
    return row[0]


def cancel(number: str, **fields: Any) -> dict[str, Any]:
    return {"order_number": number, "new_status": "cancelled", "changed_by": "front desk", **fields}


def free(conn: BoundedConnection) -> int:
    row = conn.execute("select sum(free)::int from kitchen_capacity").fetchone()
    assert row is not None
    return row[0]


def test_a_valid_request_changes_the_order_and_is_answered(conn: BoundedConnection) -> None:
    places = free(conn)
    number = place(conn)

    answer = ask(conn, cancel(number, reason="changed his mind"))

    assert answer == {"order_number": number, "status": "cancelled", "ok": True}
    assert status_of(conn, number) == "cancelled"
    assert free(conn) == places
    (row,) = conn.execute(
        """select status, changed_by, notes, sequence from order_status_log
           order by sequence desc limit 1"""
    ).fetchall()
    assert row == ("cancelled", "front desk", "staff: changed his mind", 2)
    published = conn.execute("select body from message where exchange = 'notifications_fanout'")
    assert json.loads(published.fetchone()[0])["new_status"] == "cancelled"  # type: ignore[index]


@pytest.mark.parametrize(
    ("order_type", "start", "to", "sentence"),
    [
        ("takeout", "received", "cooking", "cannot become cooking, only cancelled"),
        ("takeout", "cooking", "ready", "cannot become ready"),
        ("takeout", "cooking", "cancelled", "only with a reason"),
        ("takeout", "ready", "out-for-delivery", "cannot become out-for-delivery"),
        ("takeout", "cancelled", "delivered", "cannot become delivered"),
        ("delivery", "ready", "delivered", "cannot become delivered"),
    ],
)
def test_an_illegal_transition_is_refused(
    conn: BoundedConnection, order_type: str, start: str, to: str, sentence: str
) -> None:
    address = "1 Main St" if order_type == "delivery" else None
    number = place(conn, order_type=order_type, delivery_address=address)
    conn.execute("update orders set status = %s", [start])

    answer = ask(conn, cancel(number) | {"new_status": to})

    assert answer is not None and not answer["ok"] and sentence in answer["error"]
    assert set(answer) == {"ok", "error"}
    assert status_of(conn, number) == start
    assert dead_letters(conn) == []


def test_couriers_and_the_counter_report_deliveries(conn: BoundedConnection) -> None:
    delivery = place(conn, order_type="delivery", delivery_address="1 Main St")
    takeout = place(conn)
    conn.execute("update orders set status = 'ready'")

    for number, to in (
        (delivery, "out-for-delivery"),
        (delivery, "delivered"),
        (takeout, "delivered"),
    ):
        assert ask(conn, cancel(number) | {"new_status": to}) == {
            "order_number": number,
            "status": to,
            "ok": True,
        }


def test_an_unknown_order_is_a_refusal(conn: BoundedConnection) -> None:
    answer = ask(conn, cancel("ORD_20241216_999"))
    assert answer == {"ok": False, "error": "There is no order ORD_20241216_999."}
    assert dead_letters(conn) == []


def test_a_repeated_request_has_its_effect_once_and_the_same_answer(
    conn: BoundedConnection,
) -> None:
    number, id = place(conn), str(uuid4())
    first = ask(conn, cancel(number), id)

    assert ask(conn, cancel(number), id) == first
    assert first is not None and first["ok"]
    assert conn.execute("select count(*) from order_status_log").fetchone() == (2,)
    # and without an id it is a new one each time
    assert ask(conn, cancel(number))["ok"] is False  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"order_number": None}, "order_number"),
        ({"new_status": "eaten"}, "new_status is not one of received, cooking"),
        ({"changed_by": ""}, "changed_by"),
        ({"changed_by": "x" * 51}, "changed_by"),
        ({"reason": 7}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"hurry": True}, "no field 'hurry'"),
    ],
)
def test_an_invalid_request_is_dead_and_answered(
    conn: BoundedConnection, change: dict[str, Any], reason: str
) -> None:
    answer = ask(conn, cancel("ORD_20241216_001") | change)

    assert answer is not None and answer["ok"] is False and reason in answer["error"]
    assert len(dead_letters(conn)) == 1 and reason in dead_letters(conn)[0]


def test_a_request_without_reply_to_is_carried_out(conn: BoundedConnection) -> None:
    number = place(conn)

    assert ask(conn, cancel(number), reply_to=None) is None
    assert status_of(conn, number) == "cancelled"
