"""Webhooks over HTTP: registered, changed, and their deliveries listed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from pizza.database.connection import BoundedConnection
from pizza.domain.webhooks import TYPES

from .conftest import post

URL = "https://hooks.example/pizza"


def add(client: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = post(client, "/webhooks", {"url": URL, **fields})
    assert answer.status_code == 201, answer.data
    assert answer.headers["Location"] == f"/webhooks/{answer.json['id']}"
    return dict(answer.json)


def test_the_secret_is_in_the_answer_to_the_registration_alone(client: FlaskClient) -> None:
    made = add(client, types=["order.ready"], description="the screen")
    secret = made.pop("secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    assert client.get(f"/webhooks/{made['id']}").json == made
    assert client.get("/webhooks").json == [made]
    assert made["types"] == ["order.ready"] and made["enabled"] is True
    rotated = client.post(f"/webhooks/{made['id']}/rotate")
    assert rotated.status_code == 200 and rotated.json["secret"] != secret
    assert rotated.json["former_secret_until"] is not None
    assert "secret" not in client.get(f"/webhooks/{made['id']}").json


def test_without_types_a_webhook_gets_all_events(client: FlaskClient) -> None:
    assert add(client)["types"] == add(client, types=[])["types"] == list(TYPES)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://hooks.example"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://localhost:3000/orders"}, "url"),
        ({"url": URL, "types": ["order.eaten"]}, "types"),
        ({"url": URL, "types": "order.ready"}, "types"),
        ({"url": URL, "description": "a\nb"}, "description"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
    ],
)
def test_an_invalid_field_is_422_and_is_named(
    client: FlaskClient, body: dict[str, Any], field: str
) -> None:
    answer = client.post("/webhooks", json=body)
    assert answer.status_code == 422, answer.data
    assert [each["field"] for each in answer.json["errors"]] == [field]
    assert client.get("/webhooks").json == []


def test_a_webhook_is_changed_disabled_enabled_and_removed(client: FlaskClient) -> None:
    where = f"/webhooks/{add(client)['id']}"
    off = client.patch(where, json={"enabled": False, "types": ["order.cooking"]})
    assert (off.status_code, off.json["enabled"], off.json["types"]) == (
        200,
        False,
        ["order.cooking"],
    )
    assert off.json["disabled_reason"] == "by staff"
    assert client.post(f"{where}/test").status_code == 409
    assert client.patch(where, json={"url": "https://10.0.0.1"}).status_code == 422
    on = client.patch(where, json={"enabled": True})
    assert on.json["enabled"] is True and on.json["disabled_at"] is None
    assert client.delete(where).status_code == 204
    assert client.delete(where).status_code == client.get(where).status_code == 404


def test_deliveries_are_listed_page_by_page_and_retried(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    where = f"/webhooks/{add(client)['id']}"
    tests = [client.post(f"{where}/test") for _ in range(3)]
    assert {each.status_code for each in tests} == {202}
    ids = [each.json["id"] for each in tests][::-1]

    page = client.get(f"{where}/deliveries?limit=2")
    assert [each["id"] for each in page.json] == ids[:2]
    following = re.fullmatch(r'<(.*)>; rel="next"', page.headers["Link"])
    assert following is not None
    last = client.get(following[1])
    assert [each["id"] for each in last.json] == ids[2:]
    assert "Link" not in last.headers
    assert last.json[0]["state"] == "waiting" and last.json[0]["type"] == "webhook.test"

    conn.execute("update webhook_delivery set state = 'failed', attempts = 8")
    again = client.post(f"{where}/deliveries/{ids[0]}/retry")
    assert (again.status_code, again.json["state"], again.json["attempts"]) == (202, "waiting", 0)
    assert client.post(f"{where}/deliveries/{ids[0][:-1]}/retry").status_code == 404
    for bad in ("limit=0", "limit=x", "before=x", "page=2"):
        assert client.get(f"{where}/deliveries?{bad}").status_code == 422
