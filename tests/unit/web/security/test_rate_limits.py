"""The rate limits of a client, and how a client is identified."""

import json
from types import SimpleNamespace

import pytest

from pizza.auth.authenticator import ANONYMOUS
from pizza.config.settings import Settings, load
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.security.rate_limits import RateLimits

KEY = "a key of the staff"
BODY = json.dumps({"customer_name": "Jo", "items": [{"name": "Tea", "quantity": 1, "price": 2}]})
FAR = {"REMOTE_ADDR": "203.0.113.7"}


@pytest.fixture
def limited_client(restaurant):
    restaurant.keys.append(KEY)
    return create_app(Settings(rate_limit=3), Dependencies(restaurant)).test_client()


def statuses(client, path, environ, **more):
    post = {"method": "POST", "data": BODY} if path == "/orders" else {}
    return [client.open(path, environ_base=environ, **post, **more).status_code for _ in range(5)]


@pytest.mark.parametrize(("path", "good"), [("/orders", 201), ("/menu", 200), ("/healthz", 200)])
def test_one_client_has_a_limit_of_requests_a_minute(limited_client, path, good):
    assert statuses(limited_client, path, FAR) == [good] * 3 + [429] * 2

    assert statuses(limited_client, path, {"REMOTE_ADDR": "203.0.113.8"})[0] == good
    refused = limited_client.open(
        path, method="POST" if path == "/orders" else "GET", environ_base=FAR
    )
    assert refused.content_type == "application/problem+json"
    assert refused.headers["Retry-After"] == "60"


@pytest.mark.parametrize("path", ["/orders", "/menu"])
def test_staff_and_this_machine_have_no_limit(limited_client, path):
    for near in ("127.0.0.1", "::1", "::ffff:127.0.0.1", ""):
        assert 429 not in statuses(limited_client, path, {"REMOTE_ADDR": near})
    shown = {"Authorization": f"Bearer {KEY}"}
    assert 429 not in statuses(limited_client, path, FAR, headers=shown)


def test_guessing_keys_is_limited_too(limited_client):
    shown = {"Authorization": "Bearer guessed"}

    assert statuses(limited_client, "/workers/status", FAR, headers=shown) == [401] * 3 + [429] * 2


def test_no_limit_is_a_limit_too(restaurant):
    client = create_app(Settings(rate_limit=0), Dependencies(restaurant)).test_client()

    assert 429 not in statuses(client, "/menu", FAR)


def test_a_client_from_elsewhere_may_have_its_share_of_the_places(restaurant):
    client = create_app(Settings(), Dependencies(restaurant)).test_client()
    client.post("/orders", data=BODY, environ_base=FAR)
    client.post("/orders", data=BODY)
    client.post("/orders", data=BODY, environ_base={"REMOTE_ADDR": "2001:db8::1"})
    client.post("/orders", data=BODY, environ_base={"REMOTE_ADDR": "2001:db8::2:1"})

    far, near, house, same_house = (options["client"] for _, options in restaurant.placed)
    assert (far.limit, near) == (None, None)
    assert b"203" not in far.client_hash
    assert far.network_hash != house.network_hash
    assert far != house == same_house


@pytest.mark.parametrize(
    ("given", "client"),
    [
        ({}, (True, None)),
        ({"CLIENT_PLACES": "7"}, (True, 7)),
        ({"CLIENT_PLACES": "0"}, (False, None)),
    ],
)
def test_without_a_setting_the_limit_of_a_client_follows_that_of_the_database(given, client):
    limits = RateLimits(
        load({}, given | {"RATE_LIMIT": "0"}, None), SimpleNamespace(hash_address=str.encode), None
    )
    found = limits.order_quota(FAR, ANONYMOUS)
    assert (found is not None, found and found.limit) == client
