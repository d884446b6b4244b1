"""Streams over real HTTP: what each client sees, replay after a cut, the limits, and the end."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..support.api_service import Service, module_service
from ..support.restaurant import eventually
from ..support.restaurant.sse_client import EventStream

KEY = "a-sound-key-of-the-staff"
STAFF = {"Authorization": f"Bearer {KEY}"}
MEAL = {
    "customer_name": "Jane Roe",
    "order_type": "takeout",
    "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}],
}
MOST = 12
WHOLE = {
    "order_number", "old_status", "new_status", "changed_by", "timestamp", "estimated_completion",
    "event_id", "sequence", "order_type", "priority", "stage", "customer_name", "notes",
}  # fmt: skip
PERSONAL = {"priority", "customer_name", "notes"}

service = module_service(
    "--max-concurrent=0",
    "--web-workers=1",
    f"--max-streams={MOST}",
    "--trusted-proxies=127.0.0.1",
    STAFF_KEY=KEY,
)


def placed(service: Service, **fields: Any) -> dict[str, Any]:
    reply = service.order({**MEAL, **fields})
    assert reply.status == 201, reply.body
    return reply.json


def cancel(service: Service, number: str) -> None:
    body = json.dumps({"reason": "changed their mind"}).encode()
    assert service.request("POST", f"/orders/{number}/cancel", body, STAFF).status == 200


def stream(service: Service, path: str, last: str | None = None, **headers: str) -> EventStream:
    """Open a stream; waits while the places of those before are being given back."""
    if last is not None:
        headers["Last-Event-ID"] = last
    opened: list[EventStream] = []

    def try_it() -> bool:
        opened.append(EventStream(service.port, path, headers))
        return opened[-1].status != 503

    eventually(try_it, 20, "a stream is opened")
    return opened[-1]


def test_a_customer_follows_an_order_to_its_end(service: Service) -> None:
    order = placed(service)
    path = f"{order['tracking_url']}/events"
    with stream(service, path) as live:
        assert (live.status, live.headers["Content-Type"]) == (200, "text/event-stream")
        assert live.headers["Cache-Control"] == "no-store"
        assert live.headers["X-Accel-Buffering"] == "no"
        (first,) = live.take(1)
        assert live.retry == "2000"
        assert (first.id, first.kind) == ("1", "order")
        assert set(first.data) == WHOLE
        assert (first.data["old_status"], first.data["new_status"]) == (None, "received")

        cancel(service, order["order_number"])

        second, end = live.take(2)
        assert (second.id, second.data["new_status"]) == ("2", "cancelled")
        assert second.data["old_status"] == "received"
        assert (end.kind, end.data["status"]) == ("end", "cancelled")
        assert live.next() is None
    assert stream(service, path, last="2").status == 204
    with stream(service, path, last="1") as again:
        assert [event.kind for event in again.take(2)] == ["order", "end"]
    with stream(service, path) as afresh:
        assert [event.id for event in afresh.take(2)] == ["2", ""]


def test_a_stranger_sees_no_person(service: Service) -> None:
    order = placed(service)
    number, token = order["order_number"], order["tracking_token"]
    with stream(service, f"/orders/{number}/events") as live:
        assert set(live.take(1)[0].data) == WHOLE - PERSONAL
    for shown in (token, KEY):
        with stream(service, f"/orders/{number}/events", Authorization=f"Bearer {shown}") as live:
            assert live.take(1)[0].data["customer_name"] == "Jane Roe"

    other = placed(service)["tracking_token"]
    with stream(service, f"/orders/{number}/events", Authorization=f"Bearer {other}") as live:
        assert set(live.take(1)[0].data) == WHOLE - PERSONAL
    assert service.request("GET", "/track/20241216_001." + 40 * "0" + "/events").status == 404
    assert service.request("GET", "/orders/ORD_20000101_001/events").status == 404


def test_only_staff_sees_all_orders(service: Service) -> None:
    assert service.request("GET", "/events").status == 401
    token = {"Authorization": f"Bearer {placed(service)['tracking_token']}"}
    assert service.request("GET", "/events", headers=token).status == 403
    wrong = service.request("GET", "/events?status=eaten&type=none", headers=STAFF)
    assert [error["field"] for error in wrong.problem()["errors"]] == ["status", "type"]


def test_staff_misses_nothing_by_a_cut(service: Service) -> None:
    placed(service)
    with stream(service, "/events", **STAFF) as live:
        order = placed(service)["order_number"]
        (before,) = live.take(1)
        assert before.data["order_number"] == order

    missed = [placed(service)["order_number"] for _ in range(3)]

    with stream(service, "/events", last=before.id, **STAFF) as live:
        came = live.take(3)
        assert [event.data["order_number"] for event in came] == missed
        assert int(before.id) < int(came[0].id) < int(came[1].id) < int(came[2].id)
        more = placed(service)["order_number"]
        assert live.take(1)[0].data["order_number"] == more
    # An id that this database has never given: from now on.
    with stream(service, "/events", last=str(10**15), **STAFF) as live:
        more = placed(service)["order_number"]
        assert live.take(1)[0].data["order_number"] == more


def test_staff_filters_the_stream_by_status_or_type(service: Service) -> None:
    with (
        stream(service, "/events?type=dine-in", **STAFF) as tables,
        stream(service, "/events?status=cancelled", **STAFF) as cancelled,
        stream(service, "/events?status=received", **STAFF) as received,
    ):
        takeout = placed(service)["order_number"]
        dine_in = placed(service, order_type="dine-in", table_number=5)["order_number"]
        cancel(service, takeout)
        assert tables.take(1)[0].data["order_number"] == dine_in
        assert cancelled.take(1)[0].data["order_number"] == takeout
        came = [(each.data["order_number"], each.data["new_status"]) for each in received.take(3)]
    # A stream of received orders also gets the change that ends this status.
    assert came == [(takeout, "received"), (dine_in, "received"), (takeout, "cancelled")]


def test_beyond_the_cap_there_are_no_streams(service: Service) -> None:
    with ExitStack() as opened:
        for _ in range(MOST):
            opened.enter_context(stream(service, "/events", **STAFF))
        refused = service.request("GET", "/events", headers=STAFF)
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert "streams" in refused.problem()["detail"]
        assert placed(service)
    # Closed streams are detected when another stream needs their place.
    with stream(service, "/events", **STAFF) as live:
        assert live.status == 200


def test_one_client_may_have_a_tenth_of_the_streams(service: Service) -> None:
    order = placed(service)
    path = f"{order['tracking_url']}/events"
    far, farther = ({"X-Forwarded-For": f"203.0.113.{n}"} for n in (7, 8))
    with stream(service, path, **far) as live, stream(service, path, **farther) as other:
        assert live.take(1)
        assert other.take(1)
        refused = service.request("GET", path, headers=far)
        assert refused.status == 503
        assert "one place" in refused.problem()["detail"]
        # Staff that shows its key is no such client.
        for _ in range(2):
            assert stream(service, "/events", **far, **STAFF).status == 200


def test_a_stop_ends_hundreds_of_streams_at_once(
    service: Service, servers: Any, tmp_path: Path
) -> None:
    """More of them than threads for requests, which they leave alone."""
    another = Service(
        tmp_path, service.db_url, servers.rabbitmq.url, "--max-concurrent=0", "--web-workers=1"
    )
    with ExitStack() as closing:
        closing.callback(another.program.process.finish, 1)
        another.program.wait_for("service_started")
        number = placed(another)["order_number"]
        path = f"/orders/{number}/events"
        streams = [closing.enter_context(EventStream(another.port, path)) for _ in range(200)]
        assert {live.status for live in streams} == {200}
        assert [live.take(1)[0].id for live in streams] == ["1"] * 200
        assert [placed(another)["status"] for _ in range(10)] == ["received"] * 10
        body = b'{"reason": "no more dough"}'
        assert another.request("POST", f"/orders/{number}/cancel", body).status == 200
        assert {live.take(2)[1].kind for live in streams} == {"end"}
        assert {live.rest() for live in streams} == {b""}

        board = [closing.enter_context(EventStream(another.port, "/events")) for _ in range(150)]
        another.program.terminate()
        assert {live.rest() for live in board} <= {b"retry: 2000\n\n", b""}
        assert another.program.exit_code() == 0
        another.program.check_output()
