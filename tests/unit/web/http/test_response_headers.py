"""Headers of answers for browsers and caches."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest

from pizza.changes.storage import Change
from pizza.config.settings import Settings
from pizza.domain.order import StatusChange
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.http.response_headers import DATA_POLICY, HSTS
from pizza.web.schemas import serializers
from pizza.web.streams import sse

from ..conftest import NUMBER

KEY = {"Authorization": "Bearer a key of the staff"}
# Answers that are the same for everybody.
PUBLIC = {"menu", "alive", "ready", "openapi_json", "pages.file"}
ORDER = {"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 2, "price": 13}]}


def routes(app):
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(("openapi.", "swagger.")):
            continue
        path = rule.rule.replace("<number>", NUMBER).replace("<", "").replace(">", "")
        for method in rule.methods - {"OPTIONS"}:
            yield rule.endpoint, method, path


@pytest.fixture
def app(restaurant):
    restaurant.keys.append("a key of the staff")
    return create_app(Settings(), Dependencies(restaurant, lambda: restaurant.relay))


def test_answers_that_differ_by_caller_are_not_cached(app):
    client = app.test_client()
    kept = {
        endpoint
        for endpoint, method, path in routes(app)
        for headers in ({}, KEY)
        if "no-store"
        not in str(client.open(path, method=method, headers=headers).headers.get("Cache-Control"))
    }
    assert kept <= PUBLIC
    placed = client.post("/orders", data=json.dumps(ORDER))
    assert placed.status_code == 201
    assert placed.headers.get_all("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("path", ["/orders", "/menu", "/nothing", "/orders/x/status"])
def test_json_can_be_taken_for_no_page(app, path):
    answer = app.test_client().get(path, headers=KEY)
    assert answer.headers["Content-Security-Policy"] == DATA_POLICY


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/swagger", "/docs/oauth2-redirect.html"])
def test_the_pages_of_the_description_run_their_own_scripts_only(app, path):
    page = app.test_client().get(path, follow_redirects=True)
    policy = page.headers["Content-Security-Policy"]
    rules = dict(each.strip().split(" ", 1) for each in policy.split(";"))

    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    inline = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    hashes = re.findall(r"'sha256-([^']+)'", rules["script-src"])
    assert hashes == [
        base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inline
    ]
    assert not re.search(r"\son\w+=", page.text), "a handler in the page would not run"
    assert re.findall(r'src="(?!swagger/)', page.text) == []


def test_https_is_kept_only_where_the_request_came_by_it(restaurant):
    settings = Settings(trusted_proxies=(ipaddress.ip_network("10.0.0.1"),))
    client = create_app(settings, Dependencies(restaurant)).test_client()

    def hsts(remote, *, url="http://pizza.example", proto="https"):
        headers = {"X-Forwarded-Proto": proto, "X-Forwarded-For": "192.0.2.7"}
        answers = [
            client.get(
                "/menu", base_url=url, headers=headers, environ_overrides={"REMOTE_ADDR": remote}
            ),
            client.post(
                "/orders",
                base_url=url,
                headers=headers,
                data=json.dumps(ORDER),
                environ_overrides={"REMOTE_ADDR": remote},
            ),
        ]
        (value,) = {answer.headers.get("Strict-Transport-Security") for answer in answers}
        return value

    assert hsts("10.0.0.1") == HSTS
    assert hsts("10.0.0.1", proto="http") is None
    assert hsts("10.0.0.2") is None, "who is no trusted proxy is not believed"
    assert hsts("192.0.2.7", url="https://pizza.example") == HSTS


def test_a_stranger_reads_roles_and_no_name_of_the_staff():
    moment = datetime(2024, 12, 16, tzinfo=UTC)
    steps = [
        StatusChange("cooking", moment, "chef_mario", "for Anna"),
        StatusChange("cancelled", moment, "Anna", None),
    ]
    stranger = json.loads(serializers.history(steps, include_private=False))
    assert [step["changed_by"] for step in stranger] == ["kitchen", "staff"]
    assert [step["changed_by"] for step in json.loads(serializers.history(steps))] == [
        "chef_mario",
        "Anna",
    ]


def test_a_stream_for_a_stranger_names_roles_too():
    change = SimpleNamespace(
        number=NUMBER, old_status="received", status="cooking", changed_by="chef_mario",
        changed_at=None, estimated_completion=None, event_id=UUID(int=0), sequence=2,
        order_type="takeout", priority=1, stage="kitchen", customer_name="Jo", notes="x",
    )  # fmt: skip
    message = sse.update(change, include_private=False)
    assert message["changed_by"] == "kitchen"
    assert not {"customer_name", "notes", "priority"} & set(message)
    assert sse.update(change)["changed_by"] == "chef_mario"
    assert set(message) <= set(Change.__annotations__) | {
        "order_number",
        "new_status",
        "timestamp",
    }
