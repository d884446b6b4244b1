"""Requests of staff with fake services: what is read, what is refused."""

import json
from decimal import Decimal

import pytest

from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import IllegalTransition, ReasonRequired, VersionConflict
from pizza.domain.menu import Dish
from pizza.menu import dishes
from pizza.web.api import order_actions

NUMBER = "ORD_20241216_001"


@pytest.fixture
def calls(monkeypatch, restaurant):
    """What the services were asked for; whatever is put under `failure` they raise."""
    made = {"failure": None}

    def record(name):
        def verb(conn, *args, actor, **words):
            made[name] = (*args, words)
            if made["failure"]:
                raise made["failure"]
            return Dish("Pizza", "pizza", Decimal(9))

        return verb

    for name in ("cancel", "deliver", "send_back", "set_priority"):
        monkeypatch.setattr(order_actions.actions, name, record(name))
    for name in ("add_dish", "set_sold_out"):
        monkeypatch.setattr(dishes, name, record(name))
    monkeypatch.setattr(order_actions.service, "order_status", restaurant.order_status)
    return made


def fields(response):
    assert response.status_code == 422
    assert response.content_type == "application/problem+json"
    return [error["field"] for error in json.loads(response.data)["errors"]]


@pytest.mark.parametrize("body", [None, b"", b"  ", b"{}"])
def test_cancel_and_deliver_need_no_body(client, calls, body):
    for verb in ("cancel", "deliver"):
        response = client.post(f"/orders/{NUMBER}/{verb}", data=body)
        assert response.status_code == 200, response.data
        assert response.json["current_status"] == "cooking"
    assert calls["cancel"] == (NUMBER, {"version": None, "reason": None, "by": None})
    assert calls["deliver"] == (NUMBER, {"version": None, "by": None})


def test_words_and_version_reach_the_services(client, calls):
    body = b'{"priority": 9, "reason": "Birthday", "by": "anna"}'
    client.post(f"/orders/{NUMBER}/priority", data=body, headers={"If-Match": '"7-0123abcd"'})
    words = {"version": 7, "priority": 9, "reason": "Birthday", "by": "anna"}
    assert calls["set_priority"] == (NUMBER, words)


@pytest.mark.parametrize(
    ("verb", "body", "bad"),
    [
        ("cancel", b'{"why": "x"}', ["why"]),
        ("cancel", b'{"reason": 1, "by": false}', ["by", "reason"]),
        ("cancel", b"[]", [""]),
        ("send-back", b"{}", ["reason"]),
        ("priority", b'{"priority": "9"}', ["priority", "reason"]),
        ("priority", b'{"priority": 9.0, "reason": "x"}', ["priority"]),
    ],
)
def test_a_bad_body_is_422_with_its_fields(client, calls, verb, body, bad):
    assert sorted(fields(client.post(f"/orders/{NUMBER}/{verb}", data=body))) == sorted(bad)
    assert set(calls) == {"failure"}


def test_an_unreadable_body_is_400(client, calls):
    assert client.post(f"/orders/{NUMBER}/cancel", data=b"{").status_code == 400
    assert client.post(f"/orders/{NUMBER}/send-back", data=b"").status_code == 400


@pytest.mark.parametrize("tag", ["7", "abc", '"7', "", '"7" "8"', '"7",', "W/7"])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_a_malformed_tag_is_400(client, calls, header, tag):
    path, method = (f"/orders/{NUMBER}/cancel", "POST") if header == "If-Match" else (
        f"/orders/{NUMBER}/status", "GET")  # fmt: skip
    response = client.open(path, method=method, headers={header: tag})
    assert response.status_code == 400
    assert header in json.loads(response.data)["detail"]


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("*", None),
        ('"2"', 2),
        ('"2-0123abcd"', 2),
        ('"9", "2"', 2),
        ('W/"2", "2-00000000", "1"', 2),
    ],
)
def test_the_version_is_read_from_the_tag(client, calls, tag, version):
    """Of several tags that of the order as it is (version 2) counts; a weak one never does."""
    client.post(f"/orders/{NUMBER}/cancel", headers={"If-Match": tag})
    assert calls["cancel"][1]["version"] == version


@pytest.mark.parametrize(
    "tag",
    ['W/"2-0123abcd"', '"2-0123abcd-gzip"', '"2-0123abcd--gzip"', 'W/"2-0123abcd-br"', 'W/"2"',
     '"9-0123abcd", W/"2-0123abcd"'],
)  # fmt: skip
def test_the_tag_of_a_compressed_answer_names_the_same_version(client, calls, tag):
    response = client.post(f"/orders/{NUMBER}/cancel", headers={"If-Match": tag})

    assert response.status_code == 200
    assert calls["cancel"][1]["version"] == 2


@pytest.mark.parametrize("mark", ['W/{}"', '{}-gzip"', 'W/{}-zstd"'])
@pytest.mark.parametrize("path", [f"/orders/{NUMBER}/status", "/static/pizza.css"])
def test_a_compressed_answer_still_holds(client, path, mark):
    tag = client.get(path).headers["ETag"]
    known = {"If-None-Match": mark.format(tag[:-1])}

    assert client.get(path, headers=known).status_code == 304


@pytest.mark.parametrize("tag", ['"somebody-elses"', '"2-gzip-x"', '"9", "8"', '"0"'])
def test_no_tag_of_the_order_is_412(client, calls, tag):
    response = client.post(f"/orders/{NUMBER}/cancel", headers={"If-Match": tag})
    assert response.status_code == 412
    assert json.loads(response.data)["version"] == 2
    assert "cancel" not in calls


def test_an_etag_that_holds_spares_the_answer(client, calls):
    first = client.get(f"/orders/{NUMBER}/status")
    tag = first.headers["ETag"]
    assert tag.startswith('"2-')
    for known in (tag, f"W/{tag}", f'"1-00000000", {tag}', "*"):
        again = client.get(f"/orders/{NUMBER}/status", headers={"If-None-Match": known})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    changed = client.post(f"/orders/{NUMBER}/cancel", headers={"If-None-Match": tag})
    assert changed.status_code == 200  # the result is reported in any case
    other = client.get(f"/orders/{NUMBER}/status", headers={"If-None-Match": '"1-00000000"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("failure", "status", "more"),
    [
        (
            IllegalTransition("ready", "cancelled", ("delivered",)),
            409,
            {"current_status": "ready", "allowed_statuses": ["delivered"]},
        ),
        (VersionConflict(NUMBER, 1, 3), 412, {"version": 3}),
        (ReasonRequired("cooking", "cancelled"), 422, {}),
        (DatabaseUnavailable("10.0.0.1"), 503, {}),
    ],
)
def test_refusals_of_the_services_are_problems(client, calls, failure, status, more):
    calls["failure"] = failure
    response = client.post(f"/orders/{NUMBER}/cancel")
    document = json.loads(response.data)
    assert (response.status_code, document["status"]) == (status, status)
    assert more.items() <= document.items()


def test_a_dish_keeps_its_exact_price(client, calls):
    client.post("/menu", data=b'{"name": "Pizza", "tag": "pizza", "price": 9.000000000000000001}')
    assert calls["add_dish"] == ("Pizza", "pizza", Decimal("9.000000000000000001"), {})
    assert b'"price":9.00' in client.post("/menu/Pizza/sold-out").data


@pytest.mark.parametrize(
    ("query", "bad"),
    [
        ("status=eaten", ["status"]),
        ("type=buffet&limit=0", ["type", "limit"]),
        ("limit=x", ["limit"]),
        ("limit=501", ["limit"]),
        ("limit=-1", ["limit"]),
        ("limit=%D9%A3", ["limit"]),
        ("before=x", ["before"]),
        ("before=%00", ["before"]),
        ("page=2", ["page"]),
    ],
)
def test_a_bad_question_for_orders_is_422(client, query, bad):
    assert fields(client.get(f"/orders?{query}")) == bad


@pytest.mark.parametrize("day", ["yesterday", "2024-13-01", "20241216", "2024-12-16T00", "%00"])
def test_a_bad_day_is_422(client, day):
    assert fields(client.get(f"/reports/{day}")) == ["day"]


@pytest.mark.parametrize("name", ["%00", "%20", "x" * 101])
def test_names_that_nobody_can_have_are_404(client, name):
    assert client.get(f"/customers/{name}").status_code == 404
    assert client.post(f"/menu/{name}/sold-out").status_code == 404
