"""Keys, sessions and the audit log over HTTP, on a real database with a real stream hub."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from pizza.audit import audit_log
from pizza.auth import keys, sessions, storage
from pizza.config.settings import Settings
from pizza.database.connection import BoundedConnection
from pizza.database.pool import Pool
from pizza.domain.roles import MANAGER, STAFF, STATION
from pizza.web.app import WebApp, create_app
from pizza.web.dependencies import Dependencies
from pizza.web.streams import hub

from ...support.waiting import wait_until

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HERE = {"Sec-Fetch-Site": "same-origin"}
FAR = {"REMOTE_ADDR": "203.0.113.7"}
MEAL = {"customer_name": "Jane Roe", "items": [{"name": "Lemonade", "quantity": 1, "price": 3.9}]}
Shown = dict[str, str]


@pytest.fixture
def app(db_url: str, conn: BoundedConnection) -> Iterator[WebApp]:
    pool = Pool(db_url, size=3, name="test pool")
    made = create_app(Settings(db_url=db_url), Dependencies(pool))
    try:
        yield made
    finally:
        made.streams.close()
        pool.close()


@pytest.fixture
def browser(app: Flask) -> Callable[[], FlaskClient]:
    """Makes a browser at another address, with its own cookies."""

    def make() -> FlaskClient:
        client = app.test_client()
        client.environ_base.update(FAR)
        return client

    return make


def shown(key: str) -> Shown:
    return {"Authorization": f"Bearer {key}"}


def log_in(client: FlaskClient, key: str) -> None:
    assert client.post("/login", data={"key": key}, headers=HERE).status_code == 303


def actions(conn: BoundedConnection, **asked: Any) -> list[str]:
    return [each.action for each in reversed(audit_log.list_entries(conn, **asked))]


# --- streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["revoke", "expire", "end", "log out"])
def test_an_open_stream_ends_within_a_second(
    app: WebApp, browser: Callable[[], FlaskClient], conn: BoundedConnection, end: str
) -> None:
    kept, key = keys.add_key(conn, "Anna", role=STATION)
    ours, theirs = browser(), browser()
    log_in(ours, key)
    headers = {} if end in ("end", "log out") else shown(key)
    _, other = keys.add_key(conn, "Bert")
    # The same process learns of the new key with its next look.
    wait_until(lambda: theirs.get("/orders", headers=shown(other)).status_code == 200, 5, "known")
    streams = [
        client.get("/events", headers=given).response
        for client, given in ((ours, headers), (theirs, shown(other)))
    ]
    ended = [threading.Event(), threading.Event()]

    def read(number: int) -> None:
        for _ in streams[number]:
            pass
        ended[number].set()

    for number in (0, 1):
        threading.Thread(target=read, args=(number,), daemon=True).start()
    assert not ended[0].wait(0.5)

    if end == "revoke":
        keys.revoke_key(conn, kept.id)
    elif end == "expire":
        conn.execute("update staff_key set expires_at = now() where id = %s", [kept.id])
    elif end == "end":
        (session,) = storage.list_sessions(conn)
        sessions.end_session(conn, session.id)
    else:
        ours.post("/logout", headers=HERE)
    since = time.monotonic()

    assert ended[0].wait(10)
    # A second, by the constants below; the rest is for a machine that is busy.
    assert time.monotonic() - since < 5
    assert not ended[1].is_set()
    app.streams.close()
    assert ended[1].wait(10)


def test_a_stream_without_rights_ends_within_a_second() -> None:
    """The age of the cached state, the interval of checks, and the pause of a tick, in sum."""
    assert 2 * hub._AUTHORIZATION_SECONDS + hub.TICK_SECONDS < 1


# --- the audit log -----------------------------------------------------------------------------


def test_an_orders_history_names_the_key_and_the_note(
    browser: Callable[[], FlaskClient], conn: BoundedConnection
) -> None:
    _, key = keys.add_key(conn, "Front tablet", role=STAFF)
    client = browser()
    number = client.post("/orders", json=MEAL).json["order_number"]

    words = {"priority": 9, "reason": "Birthday", "by": "anna"}
    answer = client.post(f"/orders/{number}/priority", json=words, headers=shown(key))
    assert answer.status_code == 200
    client.post(f"/orders/{number}/cancel", json={"reason": "Gone"}, headers=shown(key))

    history = client.get(f"/orders/{number}/history", headers=shown(key)).json
    assert [each["changed_by"] for each in history] == [
        "order-service",
        "anna (key: Front tablet)",
        "Front tablet",
    ]


def test_changes_over_http_have_the_key_and_the_clients_address(
    browser: Callable[[], FlaskClient], conn: BoundedConnection
) -> None:
    kept, key = keys.add_key(conn, "Anna")
    client = browser()
    log_in(client, key)
    dish = {"name": "Calzone", "tag": "pizza", "price": 9}
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/menu", dish),
        ("POST", "/menu/Calzone/sold-out", None),
        ("DELETE", "/menu/Calzone", None),
        ("POST", "/customers/Jane/vip", {"vip": True, "by": "somebody else"}),
        ("POST", "/kitchen/pause", {"by": "somebody else"}),
        ("POST", "/kitchen/resume", None),
    ]
    for method, path, words in requests:
        answer = client.open(path, method=method, json=words, headers=HERE)
        assert answer.status_code in (200, 204), answer.data
    for form in ({"do": "pause"}, {"do": "resume"}, {"do": "add", "dish": "Calzone", "tag": "x"}):
        assert client.post("/manage", data=form, headers=HERE).status_code == 303

    made = [each for each in audit_log.list_entries(conn) if each.action != "key_added"]
    assert {(e.actor, e.key_id, e.role, e.source) for e in made} == {
        ("Anna", kept.id, MANAGER, "203.0.113.7")
    }
    assert actions(conn, actor="Anna") == [
        "logged_in", "dish_added", "dish_changed", "dish_removed", "vip_changed",
        "kitchen_paused", "kitchen_resumed", "kitchen_paused", "kitchen_resumed", "dish_added",
    ]  # fmt: skip


def test_without_keys_the_name_is_what_the_client_says(
    browser: Callable[[], FlaskClient], conn: BoundedConnection
) -> None:
    browser().post("/kitchen/pause", json={"by": "anna"})
    (entry,) = audit_log.list_entries(conn)
    assert (entry.actor, entry.key_id, entry.role, entry.source) == (
        "anna",
        None,
        None,
        "203.0.113.7",
    )


def test_reads_of_personal_data_are_recorded_once_and_the_customers_own_are_not(
    browser: Callable[[], FlaskClient], conn: BoundedConnection
) -> None:
    client = browser()
    placed = client.post("/orders", json=MEAL).json
    number = placed["order_number"]
    paths = [f"/orders/{number}", "/orders", "/customers/Jane%20Roe", "/kitchen/board",
             "/manage/dead-letters"]  # fmt: skip
    for path in paths:
        assert client.get(path).status_code == 200
    assert audit_log.list_entries(conn) == []

    _, key = keys.add_key(conn, "Anna")
    wait_until(lambda: client.get("/orders").status_code == 401, 5, "the doors are closed")
    for path in (f"/orders/{number}", f"/track/{placed['tracking_token']}"):
        headers = shown(placed["tracking_token"])
        assert client.get(path, headers=headers).status_code == 200
    for _ in range(2):
        for path in paths:
            assert client.get(path, headers=shown(key)).status_code == 200

    assert actions(conn)[1:] == [
        "order_read", "orders_read", "customer_read", "board_read", "dead_letters_read",
    ]  # fmt: skip
    (read,) = audit_log.list_entries(conn, about=f"order {number}")
    assert (read.actor, read.source) == ("Anna", "203.0.113.7")
    assert audit_log.list_entries(conn, about="customer jane roe")
    assert "Jane" not in str(conn.execute("select a::text from audit_log a").fetchall())


def test_with_a_read_only_database_pages_can_be_read(
    browser: Callable[[], FlaskClient],
    conn: BoundedConnection,
    reading_only: Callable[[], AbstractContextManager[None]],
) -> None:
    _, key = keys.add_key(conn, "Anna")
    client = browser()
    wait_until(lambda: client.get("/orders", headers=shown(key)).status_code == 200, 5, "known")
    with reading_only():
        assert client.get("/kitchen/board", headers=shown(key)).status_code == 200
        assert client.post("/kitchen/pause", headers=shown(key)).status_code == 503


def test_on_the_tables_of_an_earlier_release_it_fails_with_the_remedy(
    browser: Callable[[], FlaskClient], conn: BoundedConnection
) -> None:
    conn.execute("alter table staff_key rename role to kept")
    try:
        for answer in (browser().post("/orders", json=MEAL), browser().get("/orders")):
            assert (answer.status_code, "not set up" in answer.json["detail"]) == (503, True)
    finally:
        conn.execute("alter table staff_key rename kept to role")


# --- pages ----------------------------------------------------------------------------------------


def test_the_page_of_sessions_lists_and_ends_them(
    browser: Callable[[], FlaskClient], conn: BoundedConnection
) -> None:
    _, key = keys.add_key(conn, "<b>Anna</b>")
    ours, theirs = browser(), browser()
    for client in (ours, theirs):
        log_in(client, key)
    first, second = (each.id[: sessions.SHORT_ID] for each in storage.list_sessions(conn))
    page = ours.get("/manage/sessions", headers=HTML).text
    assert "&lt;b&gt;Anna&lt;/b&gt;" in page and "<b>Anna" not in page
    assert page.count("this browser</span>") == 1 and "203.0.113.7" in page
    assert f"session-{first}" in page and f"session-{second}" in page

    ended = ours.post("/manage/sessions", data={"id": second}, headers=HERE)
    assert ended.status_code == 303
    wait_until(lambda: theirs.get("/manage").status_code == 401, 5, "the other one is out")
    assert ours.get("/manage").status_code == 200
    for bad, status in ((second, 303), ("", 400), ("%", 400)):
        answer = ours.post("/manage/sessions", data={"id": bad}, headers=HERE)
        assert answer.status_code == status, bad
    ours.post("/manage/sessions", data={"id": "*"}, headers=HERE)
    assert storage.list_sessions(conn) == []


def test_the_page_of_the_audit_log_is_filtered_and_paged(
    browser: Callable[[], FlaskClient], conn: BoundedConnection
) -> None:
    for number in range(52):
        conn.execute(
            "insert into audit_log (actor, action, object_kind, object_id, source, after)"
            " values (%s, 'dish_added', 'dish', %s, 'here', %s)",
            ["<i>A</i>\u202e", f"Dish {number}", json.dumps({"price": "1.00"})],
        )
    client = browser()

    def rows(path: str) -> list[str]:
        text = client.get(path, headers=HTML).text
        assert "<i>A" not in text and "\u202e" not in text
        return [part.partition("</bdi>")[0] for part in text.split("dish <bdi>")[1:]]

    first = rows("/manage/audit")
    assert (len(first), first[0], first[-1]) == (50, "Dish 51", "Dish 2")
    older = client.get("/manage/audit", headers=HTML).text.split('id="older" href="')[1]
    assert rows(older.partition('"')[0].replace("&amp;", "&")) == ["Dish 1", "Dish 0"]
    assert rows("/manage/audit?object=dish+Dish+7") == ["Dish 7"]
    assert rows("/manage/audit?actor=nobody") == []
    for bad in ("before=x", "before=-1", "before=99999999999999999999", "actor=%00"):
        assert client.get(f"/manage/audit?{bad}").status_code == 422, bad
