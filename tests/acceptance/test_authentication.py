"""A restaurant with a staff key: what a stranger, a customer and staff may do, over real HTTP."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devservices import Servers

from ..support.api_service import Answer, Service, module_service
from ..support.restaurant import Program, eventually

KEY = "a-sound-key-of-the-staff"
STAFF = {"Authorization": f"Bearer {KEY}"}
MEAL = {
    "customer_name": "Jane Roe",
    "order_type": "delivery",
    "delivery_address": "123 Main St",
    "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}],
}
# The tests run on the service's machine; a trusted proxy there names the client.
FAR, FARTHER = ({"X-Forwarded-For": f"203.0.113.{n}"} for n in (7, 8))
ELSEWHERE = tuple({"X-Forwarded-For": address} for address in ("198.51.100.1", "2001:db8::1"))

service = module_service("--max-concurrent=6", "--trusted-proxies=127.0.0.1", STAFF_KEY=KEY)


@pytest.fixture(autouse=True)
def cancel_orders_afterwards(service: Service) -> Iterator[None]:
    yield
    for number, status in service.query("select number, status from orders"):
        if status == "received":
            post(service, number, "cancel", STAFF)


def shown(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def placed(service: Service, headers: Any = None, **fields: Any) -> dict[str, Any]:
    reply = service.order({**MEAL, **fields}, headers)
    assert reply.status == 201, reply.body
    return reply.json


def post(service: Service, number: str, verb: str, headers: Any = None, **words: Any) -> Answer:
    body = json.dumps(words).encode() if words else None
    return service.request("POST", f"/orders/{number}/{verb}", body, headers)


def test_a_stranger_sees_where_an_order_is_and_not_whose(service: Service) -> None:
    number = placed(service)["order_number"]

    for path in (f"/orders/{number}/status", f"/orders/{number}/history"):
        seen = service.request("GET", path)
        assert seen.status == 200
        assert b"Jane" not in seen.body and b"Main St" not in seen.body
    for path in (f"/orders/{number}", "/orders", "/customers/Jane%20Roe", "/workers/status"):
        refused = service.request("GET", path)
        assert refused.status == 401
        assert "Bearer" in refused.headers["WWW-Authenticate"]
        assert b"Jane" not in refused.body
    assert post(service, number, "cancel").status == 401


def test_a_customer_reaches_the_own_order_by_its_token_and_no_other(service: Service) -> None:
    mine, other = placed(service), placed(service, customer_name="John Doe")
    number, token = mine["order_number"], mine["tracking_token"]

    whole = service.request("GET", f"/orders/{number}", headers=shown(token))
    tracked = service.request("GET", mine["tracking_url"])

    assert whole.json["delivery_address"] == tracked.json["delivery_address"] == "123 Main St"
    assert [step["status"] for step in tracked.json["history"]] == ["received"]
    assert tracked.headers["Referrer-Policy"] == "no-referrer"
    for headers in (shown(token), shown(token[:-1] + "x")):
        seen = service.request("GET", f"/orders/{other['order_number']}", headers=headers)
        assert seen.status == (403 if headers == shown(token) else 401)
        assert b"John" not in seen.body
    assert post(service, other["order_number"], "cancel", shown(token)).status == 403
    assert post(service, number, "priority", shown(token), priority=10, reason="x").status == 403


def test_a_customer_cancels_a_received_order_and_under_no_other_name(service: Service) -> None:
    mine, late = placed(service), placed(service)
    number, token = mine["order_number"], mine["tracking_token"]

    assert post(service, number, "cancel", shown(token), by="anna").status == 403
    done = post(service, number, "cancel", shown(token), reason="Too late for me")
    assert (done.status, done.json["current_status"]) == (200, "cancelled")
    rows = service.query(
        "select changed_by, notes from order_status_log l join orders o on o.id = l.order_id"
        " where o.number = %s and l.status = 'cancelled'",
        number,
    )
    assert rows == [("customer", "customer: Too late for me")]

    # A reason makes no staff of a customer.
    service.query(
        "update orders set status = 'cooking' where number = %s returning 1", late["order_number"]
    )
    refused = post(
        service, late["order_number"], "cancel", shown(late["tracking_token"]), reason="I say so"
    )
    assert refused.problem()["current_status"] == "cooking"
    assert refused.status == 409
    assert post(service, late["order_number"], "cancel", STAFF, reason="oven").status == 200


def test_staff_does_all_of_it(service: Service) -> None:
    hurried = placed(service, STAFF, rush=True)
    number = hurried["order_number"]

    assert hurried["priority"] == 10
    assert post(service, number, "priority", STAFF, priority=2, reason="x").status == 200
    assert service.request("GET", f"/orders/{number}", headers=STAFF).json["priority"] == 2
    refused = service.order({**MEAL, "rush": True, "customer_type": "vip", "priority": 9})
    fields = [each["field"] for each in refused.problem()["errors"]]
    assert (refused.status, fields) == (401, ["customer_type", "rush", "priority"])


def test_one_client_cannot_use_the_whole_limit_of_orders(service: Service) -> None:
    for _ in range(2):
        placed(service, FAR)

    refused = service.order(MEAL, FAR)
    assert refused.status == 429
    assert "2 orders" in refused.problem()["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    # The network of both may have half, and all clients from elsewhere leave one place to staff.
    placed(service, FARTHER)
    assert "this network" in service.order(MEAL, FARTHER).problem()["detail"]
    for other in ELSEWHERE:
        placed(service, other)
    assert service.order(MEAL, {"X-Forwarded-For": "192.0.2.1"}).status == 503
    placed(service, {**FAR, **STAFF})
    assert service.order(MEAL, STAFF).status == 503


def test_a_repeated_request_has_the_same_token(service: Service) -> None:
    key = {"Idempotency-Key": "the-same"}
    first, again = service.order(MEAL, key), service.order(MEAL, key)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.body == again.body


def test_a_key_that_is_revoked_is_refused_within_a_moment(service: Service) -> None:
    kept, key = keys(service, "add", "tablet")
    eventually(lambda: listing(service, key) == 200, 10, "the key counts")

    keys(service, "revoke", kept)

    eventually(lambda: listing(service, key) == 401, 10, "the key counts no more")
    assert listing(service, KEY) == 200
    assert key not in service.program.stdout_path.read_text()


def listing(service: Service, key: str) -> int:
    return service.request("GET", "/orders", headers=shown(key)).status


def keys(service: Service, *words: str) -> tuple[str, str]:
    """What `pizza.auth.authenticator` does for the command: the id, and the key."""
    from pizza.auth import keys as staff_keys
    from pizza.database.connection import connect

    with connect(service.db_url, name="test") as conn:
        if words[0] == "revoke":
            return staff_keys.revoke_key(conn, words[1]).id, ""
        kept, key = staff_keys.add_key(conn, words[1])
        return kept.id, key


# --- processes -----------------------------------------------------------------------------------


def test_no_password_is_shown_by_ps_or_the_log_and_no_port_is_open_to_strangers(
    servers: Servers, tmp_path: Path
) -> None:
    # Both servers refuse them, and the drivers have much to say.
    flags = [
        f"--db=postgres://pizza:0dd%2Fpa55word@{servers.postgres.address}/pizza",
        f"--rabbitmq={servers.rabbitmq.address}",
        "--rabbitmq-user=nobody",
        "--rabbitmq-pass=0ther-pa55word",
        "--log-level=DEBUG",
        "--host=0.0.0.0",
        "--web-workers=1",
    ]
    running = Service(tmp_path, "", "", *flags)
    cook = Program(tmp_path, "cook", ["--mode=kitchen-worker", "--worker-name=a", *flags[:4]], {})
    try:
        started = running.program.wait_for("service_started")
        running.program.wait_for("relay_lost")
        cook.wait_for("session_lost")
        refused = running.order(MEAL)
        assert refused.status == 503

        assert started["details"]["host"] == "127.0.0.1"
        assert running.program.said("auth_disabled")[0]["level"] == "WARN"
        table = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True)
        ours = [line for line in table.stdout.splitlines() if f"--port={running.port}" in line]
        shown = [line for line in ours if "reaper.py" not in line]
        assert len(shown) == 1 and "--host=0.0.0.0" in shown[0]
        said = (program.stdout_path.read_text() for program in (running.program, cook))
        for text in (*shown, *said, refused.body.decode()):
            assert "pa55word" not in text
        assert running.program.stop() == cook.stop() == 0
        running.program.check_output()
        cook.check_output()
    finally:
        running.program.process.finish(1)
        cook.process.finish(1)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"RABBITMQ": "broker.example", "STAFF_KEY": KEY},
            "The broker at broker.example is asked for as guest, with the password guest, which "
            "everybody knows: give --rabbitmq-user and RABBITMQ_PASS.",
        ),
        (
            {},
            "In production the order service needs a staff key: set STAFF_KEY, or STAFF_KEY_FILE "
            "to a file with a key on each line.",
        ),
    ],
)
def test_production_refuses_an_unsafe_configuration(
    servers: Servers, tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    given = {"RABBITMQ": servers.rabbitmq.url, **variables}
    running = Service(
        tmp_path, "postgres://127.0.0.1/d", given.pop("RABBITMQ"), "--env=production", **given
    )

    running.program.refused(f"{sentence} See restaurant-system --help.")


def test_prices_and_dishes_are_the_menus_for_customers(service: Service) -> None:
    def items(*found: dict[str, Any]) -> Answer:
        return service.order({**MEAL, "items": list(found)}, FAR)

    made_up = items(
        {"name": "Premium Steak", "quantity": 3, "price": 0.01},
        {"name": "Unicorn flambé", "quantity": 1, "price": 999.0},
    )
    assert made_up.status == 422
    assert {each["field"]: each["message"] for each in made_up.json["errors"]} == {
        "items[0].price": "must be 45.99, the price of Premium Steak on the menu",
        "items[1].name": "Unicorn flambé is not on the menu",
    }

    left_out = items({"name": "premium steak", "quantity": 2})
    assert (left_out.status, left_out.json["total_amount"]) == (201, 91.98)
    assert items({"name": "Unicorn flambé", "quantity": 1}).status == 422


def test_staff_may_sell_at_other_prices_and_it_is_logged(service: Service) -> None:
    special = [
        {"name": "Unicorn flambé", "quantity": 1, "price": 5},
        {"name": "Steak", "quantity": 1, "price": 20},
        {"name": "Lasagne", "quantity": 1},
    ]

    order = placed(service, STAFF, items=special)

    assert order["total_amount"] == 39.2
    (line,) = service.program.said("prices_deviate")
    assert line["order_number"] == order["order_number"]
    assert set(line["details"]) == {"items[0].name", "items[1].price"}
    without_price = [{"name": "Unicorn flambé", "quantity": 1}]
    assert service.order({**MEAL, "items": without_price}, STAFF).status == 422


def test_a_price_that_is_changed_counts_for_the_next_order(service: Service) -> None:
    def put(price: float) -> None:
        body = json.dumps({"name": "Espresso", "tag": "drink", "price": price}).encode()
        assert service.request("POST", "/menu", body, STAFF).status in (200, 201)

    networks = itertools.count(1)

    def order(**price: float) -> Answer:
        items = [{"name": "Espresso", "quantity": 1, **price}]
        elsewhere = {"X-Forwarded-For": f"198.51.{next(networks)}.7"}
        return service.order({**MEAL, "items": items}, elsewhere)

    assert order().json["total_amount"] == 2.4
    put(2.9)
    assert order(price=2.4).status == 422
    # Other HTTP workers may have the menu of two seconds ago; what is stored is checked again.
    assert [order().json["total_amount"], order(price=2.9).json["total_amount"]] == [2.9, 2.9]


def test_a_tracking_token_belongs_to_the_order_and_not_to_its_number(service: Service) -> None:
    first = placed(service)
    path = f"/track/{first['tracking_token']}"
    assert service.request("GET", path).status == 200

    # As after a restore: another order is given the number.
    number, other = first["order_number"], placed(service)["order_number"]
    service.query("delete from client_order returning client_hash")
    service.query("delete from orders where number = %s returning number", number)
    service.query("update orders set number = %s where number = %s returning number", number, other)

    assert service.request("GET", path).status == 404
    assert post(service, number, "cancel", shown(first["tracking_token"])).status == 401
    assert service.request("POST", f"{path}/cancel").status == 404
    status = service.request("GET", f"/orders/{number}/status").json
    assert status["current_status"] == "received"
