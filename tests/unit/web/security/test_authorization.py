"""Permissions: each operation, with and without authentication, by nothing, a key, a token."""

import json
import logging

import pytest

from pizza.config.settings import Settings, load
from pizza.database.errors import DatabaseUnavailable
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.http.access_log import access_log
from pizza.web.security.permissions import PERMISSIONS, REQUIRED_ROLE, Permission, permission_of

from ..conftest import NUMBER, order_id

KEY = "a key of the staff"
OTHER = "ORD_20241216_002"
PROBLEM = "application/problem+json"
BODY = {"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 2, "price": 13}]}


@pytest.fixture
def app(restaurant):
    restaurant.keys.append(KEY)
    return create_app(Settings(), Dependencies(restaurant, lambda: restaurant.relay))


@pytest.fixture
def secured_client(app):
    return app.test_client()


@pytest.fixture
def token(app):
    app.authenticator.warm_up()
    return app.authenticator.tracking_token(NUMBER, order_id(NUMBER))


def shown(credential):
    return {"Authorization": f"Bearer {credential}"}


def routes():
    app = create_app(Settings(), Dependencies(None))
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(("openapi.", "swagger.")):
            continue
        path = rule.rule.replace("<number>", NUMBER).replace("<", "").replace(">", "")
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            yield rule.endpoint, method, path


ROUTES = list(routes())
GUARDED = [each for each in ROUTES if permission_of(each[0]) in REQUIRED_ROLE]


def test_every_operation_has_a_rule_and_one_without_is_for_managers():
    assert {endpoint for endpoint, _, _ in ROUTES} == set(PERMISSIONS)
    assert permission_of("something new") is Permission.MANAGER
    assert len(GUARDED) > 15


def answers(client, headers=None):
    """Every guarded operation, and what it says."""
    for _, method, path in GUARDED:
        yield f"{method} {path}", client.open(path, method=method, headers=headers)


def test_without_a_key_staffs_operations_are_401(secured_client):
    for what, answer in answers(secured_client):
        assert (answer.status_code, answer.content_type) == (401, PROBLEM), what
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="pizza"'
        assert "staff key" in answer.json["detail"]


def test_with_an_unknown_key_they_are_401(secured_client):
    unknown = 'Bearer realm="pizza", error="invalid_token"'
    for what, answer in answers(secured_client, shown("a key of nobody")):
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, unknown), what


def test_with_the_token_of_another_order_they_are_403(app, secured_client, token):
    for what, answer in answers(
        secured_client, shown(app.authenticator.tracking_token(OTHER, order_id(OTHER)))
    ):
        assert (answer.status_code, answer.content_type) == (403, PROBLEM), what


def test_a_key_opens_all_of_them(secured_client):
    for what, answer in answers(secured_client, shown(KEY)):
        assert answer.status_code not in (401, 403), what


def test_where_there_is_no_key_nothing_is_asked(client):
    for what, answer in answers(client, shown("whatever")):
        assert answer.status_code not in (401, 403), what


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", f"Basic {KEY}", KEY, "Bearer é", "Bearer " + "x" * 9999]
)
def test_what_is_no_bearer_key_lets_nobody_in(secured_client, header):
    assert secured_client.get("/orders", headers={"Authorization": header}).status_code == 401


def test_keys_of_the_environment_count_too(restaurant):
    settings = load({}, {"STAFF_KEY": "one of two keys, another-of-these"}, None)
    client = create_app(settings, Dependencies(restaurant)).test_client()

    assert client.get("/workers/status").status_code == 401
    for key in ("one", "of", "keys", "another-of-these"):
        assert client.get("/workers/status", headers=shown(key)).status_code == 200
    assert client.get("/workers/status", headers=shown("three")).status_code == 401


def test_without_a_database_nobody_is_let_in_and_the_scrape_says_it_is_away(
    secured_client, restaurant
):
    restaurant.failure = DatabaseUnavailable("gone")

    assert secured_client.get("/orders").status_code == 503
    assert secured_client.get("/orders", headers=shown(KEY)).status_code == 503
    assert b"pizza_database_up 0.0" in secured_client.get("/metrics").data
    assert secured_client.get("/healthz").status_code == 200


# --- an order ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"rush": True}, "rush"),
        ({"customer_type": "vip"}, "customer_type"),
        ({"priority": 1}, "priority"),
    ],
)
def test_only_staff_hurries_an_order(secured_client, restaurant, token, wish, field):
    body = json.dumps({**BODY, **wish})

    missing = secured_client.post("/orders", data=body)
    customer = secured_client.post("/orders", data=body, headers=shown(token))

    assert (missing.status_code, customer.status_code) == (401, 403)
    assert missing.json["errors"] == [{"field": field, "message": "is for staff"}]
    assert customer.json["errors"] == missing.json["errors"]
    assert restaurant.placed == []
    assert secured_client.post("/orders", data=body, headers=shown(KEY)).status_code == 201


def test_a_plain_order_needs_nothing_and_a_wrong_key_is_no_plain_order(secured_client, restaurant):
    plain = {**BODY, "rush": False, "customer_type": "regular", "priority": None}

    assert secured_client.post("/orders", data=json.dumps(plain)).status_code == 201
    assert (
        secured_client.post("/orders", data=json.dumps(plain), headers=shown("x")).status_code
        == 401
    )
    assert len(restaurant.placed) == 1


def test_a_number_alone_shows_no_person(secured_client, token):
    status = secured_client.get(f"/orders/{NUMBER}/status")
    (step,) = secured_client.get(f"/orders/{NUMBER}/history").json

    assert set(status.json) == {
        "order_number", "current_status", "updated_at", "estimated_completion", "processed_by",
        "order_type", "completed_at", "stage",
    }  # fmt: skip
    assert status.json["processed_by"] == "kitchen"
    assert (step["changed_by"], step["notes"]) == ("order-service", None)
    for credential in (token, KEY):
        whole = secured_client.get(f"/orders/{NUMBER}/status", headers=shown(credential))
        assert (whole.json["total_amount"], whole.json["processed_by"]) == (0, "chef_mario")
        assert whole.headers["ETag"] != status.headers["ETag"]
        (step,) = secured_client.get(f"/orders/{NUMBER}/history", headers=shown(credential)).json
        assert step["notes"] == "priority 1"


def test_what_depends_on_who_asks_is_for_no_shared_cache(secured_client):
    answer = secured_client.get(f"/orders/{NUMBER}/status")

    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.headers["Vary"].split(", ")) == {"Authorization", "Cookie"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "spoil", [lambda t: t[:-1], lambda t: t[:-1] + "g", lambda t: t.replace("_001", "_002"),
              lambda t: t + "0", lambda t: t.upper(), lambda t: "%00", lambda t: "x" * 3000]
)  # fmt: skip
def test_an_invalid_token_is_404_and_shows_nothing(secured_client, token, spoil):
    answer = secured_client.get(f"/track/{spoil(token)}")

    assert answer.status_code == 404
    assert answer.json["detail"] == "There is no order with this token."


def test_who_is_refused_is_logged_without_what_was_shown(secured_client, caplog):
    caplog.set_level(logging.INFO)
    secured_client.get("/orders", headers=shown("guessed-s3cret"))

    (record,) = caplog.records
    assert (record.action, record.details["error"]) == ("access_denied", "InvalidCredential")
    assert "s3cret" not in str(record.__dict__)


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_the_log_has_the_address_of_the_client_and_not_of_the_proxy(restaurant, caplog, address):
    restaurant.keys.append(KEY)
    settings = load({}, {"TRUSTED_PROXIES": "127.0.0.1"}, None)
    client = create_app(settings, Dependencies(restaurant)).test_client()
    caplog.set_level(logging.INFO)
    behind = {"X-Forwarded-For": address}

    client.post("/orders", data=json.dumps(BODY), headers=behind)
    client.get("/orders", headers=behind)
    client.post("/login", data={"key": KEY}, headers={**behind, "Sec-Fetch-Site": "same-origin"})

    found = {record.action: record.details["client"] for record in caplog.records}
    assert found == {"order_received": address, "access_denied": address}
    assert [each["source"] for each in restaurant.audit] == [address]


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/track/{}", "/track/***"),
        ("//track/{}", "//track/***"),
        ("/track//{}", "/track//***"),
        ("/track/{}/events", "/track/***"),
        ("/sub/track/{}", "/sub/track/***"),
        ("/TRACK/{}", "/TRACK/***"),
        ("/{}", "/***"),
        ("/orders/{}", "/orders/***"),
        ("/track\\{}", "/track\\***"),
        ("/orders/ORD_20241216_001", "/orders/ORD_20241216_001"),
    ],
)
def test_the_access_log_shows_no_token(app, token, caplog, path, logged):
    caplog.set_level(logging.DEBUG)
    app.wsgi_app = access_log(app.wsgi_app)
    app.test_client().get("/", environ_overrides={"PATH_INFO": path.format(token)})

    assert f"GET {logged}: " in caplog.text
    assert token not in caplog.text
    assert token.rpartition(".")[2] not in caplog.text


def test_the_description_says_what_is_asked_for(client, restaurant):
    free = client.get("/openapi.json").json
    restaurant.keys.append(KEY)
    asked = create_app(Settings(), Dependencies(restaurant)).test_client().get("/openapi.json").json

    assert set(asked["components"]["securitySchemes"]) == {"staffKey", "trackingToken"}
    listed, listed_free = (each["paths"]["/orders"]["get"] for each in (asked, free))
    assert listed["security"] == [{"staffKey": []}]
    assert listed_free["security"] == [{}, {"staffKey": []}]
    assert {"401", "403", "429"} <= set(listed["responses"])
    own = asked["paths"]["/orders/{number}"]["get"]["security"]
    assert own == [{"staffKey": []}, {"trackingToken": []}]
    assert asked["paths"]["/orders"]["post"]["security"] == [{}, {"staffKey": []}]
    assert asked["paths"]["/menu"]["get"]["security"] == []
