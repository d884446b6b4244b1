"""Requests and answers with a fake restaurant."""

import json
import logging
import re

import pytest

from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import CapacityReached

NUMBER = "ORD_20241216_001"
BODY = b'{"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 2, "price": 13}]}'
NOON = "2024-12-16T12:00:00.123Z"


def problem(response, status):
    """Assert that a response is a problem of this status, and return its document."""
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    document = json.loads(response.data)
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


def test_an_order_is_placed(client, restaurant):
    response = client.post("/orders", data=BODY)
    assert response.status_code == 201
    assert response.headers["Location"] == f"/orders/{NUMBER}/status"
    assert response.content_type == "application/json"
    document = json.loads(response.data)
    token = document.pop("tracking_token")
    assert document.pop("tracking_url") == f"/track/{token}"
    assert re.fullmatch(r"20241216_001\.[0-9a-f]{40}", token)
    assert document == {
        "order_number": NUMBER,
        "status": "received",
        "total_amount": 26.0,
        "priority": 5,
        "order_type": "takeout",
        "customer_name": "Jo",
        "created_at": NOON,
        "estimated_completion": None,
    }
    assert len(restaurant.placed) == 1


def test_the_amount_is_a_number_with_two_places(client):
    assert b'"total_amount":26.00,' in client.post("/orders", data=BODY).data


@pytest.mark.parametrize(("path", "method"), [("/orders/", "POST"), ("/orders", "post")])
def test_flask_without_the_fast_path_answers_the_same(client, path, method):
    assert client.open(path, method=method, data=BODY).status_code == 201


def test_each_order_received_is_one_line_in_the_log(client, caplog):
    caplog.set_level(logging.INFO)
    client.post("/orders", data=BODY)
    (record,) = caplog.records
    assert (record.action, record.order_number) == ("order_received", NUMBER)
    assert record.details["priority_rule"] == "repeat customer"


def test_a_bad_order_is_422_with_its_fields_and_is_not_placed(client, restaurant):
    document = problem(client.post("/orders", data=b'{"items": []}'), 422)
    assert [error["field"] for error in document["errors"]] == ["customer_name", "items"]
    assert restaurant.placed == []


def test_an_unreadable_order_is_400(client):
    problem(client.post("/orders", data=b"{"), 400)


def test_no_answer_lists_more_than_a_hundred_errors(client):
    body = json.dumps({f"x{n}": 1 for n in range(5000)})
    assert len(problem(client.post("/orders", data=body), 422)["errors"]) == 100


def test_a_full_restaurant_is_503_with_retry_after(client, restaurant):
    restaurant.failure = CapacityReached(50)
    response = client.post("/orders", data=BODY)
    assert "50" in problem(response, 503)["detail"]
    assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/orders"),
        ("GET", f"/orders/{NUMBER}/status"),
        ("GET", f"/orders/{NUMBER}/history"),
        ("GET", "/workers/status"),
    ],
)
def test_without_a_database_everything_is_503_without_the_drivers_words(
    client, restaurant, method, path
):
    restaurant.failure = DatabaseUnavailable("connection to server at 10.0.0.1 refused")
    response = client.open(path, method=method, data=BODY if method == "POST" else None)
    assert "10.0.0.1" not in problem(response, 503)["detail"]
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("path", ["/orders", f"/orders/{NUMBER}/status"])
def test_a_bug_is_500_and_logged_but_not_shown(client, restaurant, caplog, path):
    restaurant.failure = ZeroDivisionError("s3cret")
    response = client.post(path, data=BODY) if path == "/orders" else client.get(path)
    assert "s3cret" not in json.dumps(problem(response, 500))
    assert any(record.exc_info for record in caplog.records)


def test_the_status_of_an_order(client):
    assert client.get(f"/orders/{NUMBER}/status").json == {
        "order_number": NUMBER,
        "current_status": "cooking",
        "updated_at": NOON,
        "estimated_completion": NOON,
        "processed_by": "chef_mario",
        "order_type": "takeout",
        "priority": 5,
        "completed_at": None,
        "stage": None,
        "rush": False,
        "total_amount": 0.0,
    }


def test_the_history_of_an_order(client):
    assert client.get(f"/orders/{NUMBER}/history").json == [
        {
            "status": "received",
            "timestamp": NOON,
            "changed_by": "order-service",
            "notes": "priority 1",
        }
    ]


def test_the_status_of_the_workers(client):
    assert client.get("/workers/status").json == [
        {
            "worker_name": "chef_mario",
            "type": "cook",
            "status": "online",
            "orders_processed": 5,
            "last_seen": NOON,
            "station": "kitchen",
            "order_types": None,
            "tags": ["pizza"],
            "measured_orders": 2,
            "avg_cooking_seconds": 10.004,
            "p90_cooking_seconds": None,
            "avg_waiting_seconds": None,
            "p90_waiting_seconds": None,
            "last_order_at": None,
        }
    ]


@pytest.mark.parametrize(
    "number", ["ORD_20241216_002", "nonsense", "%00", "%ff", "ORD_1", "' or 1=1--", "x" * 3000]
)
@pytest.mark.parametrize("what", ["status", "history"])
def test_an_unknown_order_is_404(client, restaurant, number, what):
    assert "no order" in problem(client.get(f"/orders/{number}/{what}"), 404)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("DELETE", "/", 405, "GET, HEAD, OPTIONS, POST"),
        ("GET", "/nowhere", 404, None),
        ("GET", "/orders/a/b/status", 404, None),
        ("GET", "/static/x", 404, None),
        ("DELETE", "/orders", 405, "GET, HEAD, OPTIONS, POST"),
        ("GET", f"/orders/{NUMBER}/cancel", 405, "OPTIONS, POST"),
        ("POST", "/healthz", 405, "GET, HEAD, OPTIONS"),
        ("TRACE", "/healthz", 405, "GET, HEAD, OPTIONS"),
        ("PUT", f"/orders/{NUMBER}/status", 405, "GET, HEAD, OPTIONS"),
        ("BREW", "/orders", 405, "GET, HEAD, OPTIONS, POST"),
    ],
)
def test_wrong_addresses_and_methods_are_problems_too(client, method, path, status, allow):
    response = client.open(path, method=method)
    problem(response, status)
    assert response.headers.get("Allow") == allow


def test_options_says_what_is_allowed_and_nothing_else(client):
    response = client.options("/orders")
    assert (response.status_code, response.data) == (204, b"")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize(
    ("relay", "state", "status", "broker"),
    [
        ("leading", "ok", "ready", "ok"),
        ("standby", "ok", "ready", "ok"),
        ("standby", None, "ready", "unknown"),
        ("standby", "away", "degraded", "unavailable"),
        ("standby", "blocked", "degraded", "blocked"),
        ("leading, broker blocked", "blocked", "degraded", "blocked"),
        ("unknown", None, "degraded", "unknown"),
    ],
)
def test_without_a_broker_the_service_is_ready_all_the_same(
    client, restaurant, relay, state, status, broker
):
    restaurant.relay, restaurant.broker = relay, state
    response = client.get("/readyz")
    assert response.status_code == 200
    checks = {
        "database": "ok",
        "schema": "current",
        "kitchen": "ok",
        "broker": broker,
        "relay": relay,
    }
    assert response.json == {"status": status, "checks": checks}


def test_without_a_database_the_service_is_not_ready_but_alive(client, restaurant):
    restaurant.failure = DatabaseUnavailable("gone")
    response = client.get("/readyz")
    assert (response.status_code, response.json["status"]) == (503, "unavailable")
    assert response.headers["Retry-After"]
    assert client.get("/healthz").json == {"status": "ok"}


def test_the_api_documents_itself(client):
    document = client.get("/openapi.json").json
    operations = {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert set(operations) == {
        ("get", "/orders"),
        ("post", "/orders"),
        ("get", "/orders/{number}"),
        ("get", "/track/{token}"),
        ("get", "/track/{token}/events"),
        ("get", "/orders/{number}/events"),
        ("get", "/events"),
        ("post", "/orders/{number}/cancel"),
        ("post", "/orders/{number}/deliver"),
        ("post", "/orders/{number}/send-back"),
        ("post", "/orders/{number}/priority"),
        ("get", "/orders/{number}/status"),
        ("get", "/orders/{number}/history"),
        ("get", "/workers/status"),
        ("get", "/metrics"),
        ("get", "/menu"),
        ("post", "/menu"),
        ("delete", "/menu"),
        ("delete", "/menu/{name}"),
        ("post", "/menu/sold-out"),
        ("post", "/menu/available"),
        ("post", "/menu/{name}/sold-out"),
        ("post", "/menu/{name}/available"),
        ("get", "/kitchen"),
        ("get", "/kitchen/board"),
        ("post", "/kitchen/pause"),
        ("post", "/kitchen/resume"),
        ("get", "/customers"),
        ("get", "/customers/{name}"),
        ("post", "/customers/vip"),
        ("post", "/customers/{name}/vip"),
        ("get", "/reports/{day}"),
        ("get", "/metrics/priority"),
        ("get", "/webhooks"),
        ("post", "/webhooks"),
        ("get", "/webhooks/{id}"),
        ("patch", "/webhooks/{id}"),
        ("delete", "/webhooks/{id}"),
        ("post", "/webhooks/{id}/rotate"),
        ("post", "/webhooks/{id}/test"),
        ("get", "/webhooks/{id}/deliveries"),
        ("post", "/webhooks/{id}/deliveries/{delivery}/retry"),
        ("get", "/healthz"),
        ("get", "/readyz"),
    }
    for (_, path), operation in operations.items():
        for status, answer in operation["responses"].items():
            good = "text/plain" if path == "/metrics" else "application/json"
            good = "text/event-stream" if path.endswith("/events") else good
            kinds = {"application/problem+json", good}
            assert set(answer["content"]) <= kinds, (operation, status)
    body = operations["post", "/orders"]["requestBody"]["content"]["application/json"]
    assert set(body["examples"]) == {"takeout", "dine-in", "delivery"}


def test_every_reference_in_the_document_points_at_something(client):
    text = client.get("/openapi.json").data.decode()
    schemas = json.loads(text)["components"]["schemas"]
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(schemas)


def test_the_pages_for_people_need_nothing_from_elsewhere(client):
    page = client.get("/docs/swagger").data.decode()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
