"""All pages: headers, content negotiation, sessions, and forms of other sites."""

import re
import time

import pytest

from pizza.auth import auth_cache
from pizza.config.settings import Settings
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.menu import Dish
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.pages import charts, order
from pizza.web.security.authorization import COOKIE

from .conftest import NUMBER

KEY = "a key of the staff"
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HERE = {"Sec-Fetch-Site": "same-origin"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def secured_client(restaurant):
    restaurant.keys.append(KEY)
    return create_app(Settings(), Dependencies(restaurant, lambda: restaurant.relay)).test_client()


def log_in(client, key=KEY, **more):
    return client.post("/login", data={"key": key, **more}, headers=HERE)


# --- who gets a page -----------------------------------------------------------------------------


def test_nothing_from_elsewhere_and_nothing_inline_is_run(client):
    answer = client.get("/login", headers=PAGE)
    assert answer.status_code == 303  # without authentication
    page = client.get("/", headers=PAGE)
    for each in (answer, page):
        policy = each.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy and "data:" not in policy
        assert "frame-ancestors 'none'" in policy
    assert b"<style" not in page.data and b" style=" not in page.data
    assert not re.search(rb"\son\w+=", page.data)


def test_static_files_are_revalidated_with_304(client):
    first = client.get("/static/pizza.css")
    assert first.content_type == "text/css; charset=utf-8"
    again = client.get("/static/pizza.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get("/static/..%2fgate.py").status_code == 404


def test_a_browser_is_redirected_to_the_login_and_a_program_gets_401(secured_client):
    led = secured_client.get("/kitchen", headers=PAGE)
    assert (led.status_code, led.headers["Location"]) == (303, "/login?next=%2Fkitchen")
    response = secured_client.get("/kitchen")
    assert (response.status_code, response.content_type) == (401, "application/problem+json")


def test_an_error_is_a_page_for_who_asks_for_one(client, restaurant):
    restaurant.failure = DatabaseUnavailable("gone")
    page = client.get("/", headers=PAGE)
    assert (page.status_code, page.content_type) == (503, "text/html; charset=utf-8")
    assert "Retry-After" in page.headers
    assert b"cannot reach its database" in page.data
    assert client.get("/").content_type == "application/problem+json"
    assert client.get("/orders", headers=PAGE).content_type == "application/problem+json"


# --- sessions ------------------------------------------------------------------------------------


def test_the_key_opens_a_session_that_only_this_site_sends(secured_client):
    answer = log_in(secured_client, next="/manage")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/manage")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    assert KEY not in cookie
    assert secured_client.get("/workers/status").status_code == 200


def test_who_has_logged_in_can_log_out_and_nobody_else_is_offered_it(client, secured_client):
    assert b"Log out" not in client.get("/kitchen", headers=PAGE).data
    log_in(secured_client)
    assert b"Log out" in secured_client.get("/kitchen", headers=PAGE).data


def test_over_https_the_cookie_is_secure(secured_client):
    proxied = {**HERE, "X-Forwarded-Proto": "https"}
    answer = secured_client.post("/login", data={"key": KEY}, headers=proxied)
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_wrong_key_opens_none(secured_client):
    answer = log_in(secured_client, "another key")
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    assert secured_client.get("/workers/status").status_code == 401


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\nx", ""]
)
def test_the_login_leads_nowhere_else(secured_client, elsewhere):
    assert log_in(secured_client, next=elsewhere).headers["Location"] == "/kitchen"


def test_a_session_ends_with_its_time_or_its_key_and_a_changed_cookie_is_refused(
    secured_client, restaurant, monkeypatch
):
    log_in(secured_client)
    value = secured_client.get_cookie(COOKIE).value

    def status(cookie):
        secured_client.set_cookie(COOKIE, cookie)
        return secured_client.get("/workers/status").status_code

    assert status(value) == 200
    _, random, mark = value.split(".")
    former = f"{int(time.time()) + 3600}.{'0' * 40}"  # as release 0.2 signed them
    for spoilt in (f"s.{'0' * 40}.{mark}", value[:-1], f"s.{random}.{'0' * 20}", "x", former):
        assert status(spoilt) == 401, spoilt
    monkeypatch.setattr(auth_cache, "_MAX_AGE_S", 0)
    (kept,) = restaurant.sessions.values()
    restaurant.sessions.clear()
    assert status(value) == 401
    restaurant.sessions[kept[0]] = (kept[0], kept[1], 0.0)
    assert status(value) == 401
    restaurant.sessions[kept[0]] = kept
    assert status(value) == 200
    restaurant.keys[:] = ["a key that came later"]
    assert status(value) == 401


def test_logging_out_ends_a_copied_cookie(secured_client, restaurant):
    log_in(secured_client)
    copied = secured_client.get_cookie(COOKIE).value
    assert secured_client.post("/logout", headers=HERE).headers["Location"] == "/"

    assert restaurant.sessions == {}
    secured_client.set_cookie(COOKIE, copied)
    assert secured_client.get("/workers/status").status_code == 401
    assert [each["action"] for each in restaurant.audit] == ["logged_in", "logged_out"]


def test_over_https_the_cookie_is_bound_to_this_host(secured_client):
    https = {"X-Forwarded-Proto": "https"}
    cookie = secured_client.post("/login", data={"key": KEY}, headers=HERE | https).headers[
        "Set-Cookie"
    ]

    assert cookie.startswith("__Host-pizza_staff=s.")
    assert "Secure" in cookie and "Path=/;" in cookie and "Domain" not in cookie
    value = cookie.partition("=")[2].partition(";")[0]
    browser = secured_client.application.test_client(use_cookies=False)
    for name, status in (("pizza_staff", 401), ("__Host-pizza_staff", 200)):
        answer = browser.get("/workers/status", headers={**https, "Cookie": f"{name}={value}"})
        assert answer.status_code == status, name


def test_below_a_path_prefix_the_cookie_keeps_its_plain_name(secured_client):
    answer = secured_client.post(
        "/login",
        data={"key": KEY},
        headers={**HERE, "X-Forwarded-Proto": "https"},
        environ_overrides={"SCRIPT_NAME": "/pizza"},
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("pizza_staff=") and "Path=/pizza" in cookie and "Secure" in cookie


# --- strangers' forms ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_with_a_session_another_site_changes_nothing(secured_client, headers):
    log_in(secured_client)
    answer = secured_client.post("/kitchen/pause", headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.json["detail"]


@pytest.mark.parametrize("headers", [HERE, {"Origin": "http://localhost"}])
def test_with_a_session_this_site_may(secured_client, headers):
    log_in(secured_client)
    # Past the gate, where a body without a priority is refused.
    answer = secured_client.post(f"/orders/{NUMBER}/priority", data=b"{}", headers=headers)
    assert answer.status_code == 422


def test_a_key_in_a_header_is_proof_enough(secured_client):
    shown = {"Authorization": f"Bearer {KEY}", "Sec-Fetch-Site": "cross-site"}
    answer = secured_client.post(f"/orders/{NUMBER}/priority", data=b"{}", headers=shown)
    assert answer.status_code == 422


def test_without_a_key_other_sites_are_refused_and_programs_are_not(client):
    path = f"/orders/{NUMBER}/priority"
    assert (
        client.post(path, data=b"{}", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    )
    assert client.post(path, data=b"{}").status_code == 422


@pytest.mark.parametrize("form", [b"a=%ff", b"\xff=1", b"&".join(b"a=1" for _ in range(3000))])
def test_what_is_no_form_is_refused(secured_client, form):
    assert secured_client.post("/login", data=form, headers={**HERE, **FORM}).status_code == 400


# --- charts --------------------------------------------------------------------------------------


def test_the_menu_begins_with_pizza_and_ends_with_drinks():
    tags = ("dessert", "drink", "grill", "oyster", "pizza", "salad")
    sections = order._menu_sections([Dish(f"a {tag}", tag) for tag in tags])
    assert [tag for tag, _ in sections] == [
        "pizza", "grill", "salad", "oyster", "dessert", "drink",
    ]  # fmt: skip


def test_an_invalid_order_has_the_texts_of_the_page_and_others_those_of_the_api(client):
    errors = [
        {"field": "items", "message": "must be 1 to 100 items"},
        {"field": "table_number", "message": "must be from 1 to 1000"},
    ]

    def page(status, detail):
        problem = {"status": status, "detail": detail, "errors": errors}
        with client.application.test_request_context("/"):
            return order._page([], {}, problem).get_data(as_text=True)

    invalid = page(422, "The order is not valid.")
    assert (
        ">Please check the marked fields.<" in invalid and ">Choose at least one dish.<" in invalid
    )
    assert ">must be from 1 to 1000<" in invalid
    sold_out = page(409, "Lasagne is sold out.")
    assert ">Lasagne is sold out.<" in sold_out and ">must be 1 to 100 items<" in sold_out


def test_bars_are_as_high_as_their_values_and_say_them():
    chart = charts.bar_chart("T", ("a", "b"), [("one", (0, 40)), ("two", (20, 5))], unit=" s")
    heights = {bar.title: bar.height for bar in chart.bars}
    assert heights["one: 0 s a"] == 0
    assert heights["one: 40 s b"] == 2 * heights["two: 20 s a"] > 0
    assert [text for _, text in chart.y_ticks] == ["0 s", "25 s", "50 s"]
    assert chart.summary == "a at most 20 s, b at most 40 s"


def test_a_plot_of_nothing_is_a_plot():
    assert charts.bar_chart("T", ("a",), []).bars == []
    assert charts.bar_chart("T", ("a",), [("one", (0.0,))]).bars[0].height == 0
