"""The checks of every request before routing: Host, rate, wrong credentials."""

import json
import logging

import pytest

from pizza.config.settings import Settings, SettingsError, load
from pizza.database.errors import DatabaseUnavailable
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.http.problems import Problem
from pizza.web.security.request_checks import HostCheck
from pizza.web.server.shared_state import SharedState

KEY = "a key of the staff"
BODY = json.dumps({"customer_name": "Jo", "items": [{"name": "Tea", "quantity": 1, "price": 2}]})
FAR = {"REMOTE_ADDR": "203.0.113.7"}
OTHER = {"REMOTE_ADDR": "203.0.113.8"}
CROSS_SITE = ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"})


def shown(credential):
    return {"Authorization": f"Bearer {credential}"}


@pytest.fixture
def make(restaurant):
    """Makes a client of a service with a staff key, or of one without."""

    def make(key=True, **settings):
        if key:
            restaurant.keys.append(KEY)
        return create_app(Settings(**settings), Dependencies(restaurant)).test_client()

    return make


# --- the rate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/static/pizza.css"), ("GET", "/nothing/there"), ("PUT", "/orders"), ("GET", "/"),
     ("POST", "/orders/"), ("POST", "/login"), ("OPTIONS", "/menu"), ("GET", "/track/x")],
)  # fmt: skip
def test_every_address_is_counted_known_or_not(make, method, path):
    client = make(rate_limit=3)
    ask = lambda: client.open(path, method=method, environ_base=FAR).status_code  # noqa: E731

    assert 429 not in [ask() for _ in range(3)]
    assert [ask(), ask()] == [429, 429]
    assert client.get("/menu", environ_base=FAR).status_code == 429
    assert client.get("/menu", environ_base=OTHER).status_code == 200


def test_most_of_two_thousand_guesses_at_an_order_are_not_looked_at(make, restaurant):
    client = make(rate_limit=0)
    answers = [
        client.post("/orders", data=BODY, headers=shown(f"guess {n}"), environ_base=FAR).status_code
        for n in range(200)
    ]
    # A minute may end in between.
    assert answers.count(401) in (20, 40)
    assert answers.count(429) == 200 - answers.count(401)
    assert restaurant.placed == []


GUESSES = {
    "POST /orders": lambda client, guess: client.post(
        "/orders", data=BODY, headers=shown(guess), environ_base=FAR
    ),
    "GET /orders": lambda client, guess: client.get(
        "/orders", headers=shown(guess), environ_base=FAR
    ),
    "GET /menu": lambda client, guess: client.get("/menu", headers=shown(guess), environ_base=FAR),
    "POST /login": lambda client, guess: client.post(
        "/login", data={"key": guess}, environ_base=FAR
    ),
    "GET /track": lambda client, guess: client.get(f"/track/{guess}", environ_base=FAR),
    "GET /track/events": lambda client, guess: client.get(
        f"/track/{guess}/events", environ_base=FAR
    ),
    "POST /track/cancel": lambda client, guess: client.post(
        f"/track/{guess}/cancel", environ_base=FAR
    ),
}


@pytest.mark.parametrize("way", GUESSES)
def test_wrong_credentials_are_limited_wherever_they_are_shown(make, way):
    client = make(rate_limit=0)
    guess = GUESSES[way]

    assert 429 not in [guess(client, f"guess{n}").status_code for n in range(20)]
    assert {guess(client, f"guess{n}").status_code for n in range(3)} == {429}
    # Now the right one is not checked either; a request without a token is no guess.
    assert client.get("/workers/status", headers=shown(KEY), environ_base=FAR).status_code == 429
    assert client.get("/menu", environ_base=FAR).status_code == 200
    assert client.get("/workers/status", headers=shown(KEY), environ_base=OTHER).status_code == 200


def test_staff_at_the_address_of_a_guessing_client_is_not_limited(make):
    client = make(rate_limit=0)
    ask = lambda key: client.get("/workers/status", headers=shown(key), environ_base=FAR)  # noqa: E731
    assert ask(KEY).status_code == 200

    guesses = [ask(f"guess {n}").status_code for n in range(30)]

    assert guesses == [401] * 20 + [429] * 10
    assert ask(KEY).status_code == 200


# --- pages of other sites ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/orders", "/orders/", "/"])
@pytest.mark.parametrize("says", CROSS_SITE)
@pytest.mark.parametrize("key", [True, False])
def test_a_page_of_another_site_places_no_order(make, restaurant, path, says, key):
    client = make(key)

    refused = client.post(path, data=BODY, headers={**says, "Content-Type": "text/plain"})

    assert refused.status_code == 403
    assert "another site" in refused.text
    assert restaurant.placed == []


@pytest.mark.parametrize(
    "says", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}]
)
def test_our_own_pages_and_programs_place_orders(make, says):
    assert make(False).post("/orders", data=BODY, headers=says).status_code == 201


# --- the host ------------------------------------------------------------------------------------

LOCAL = ["localhost", "localhost:3000", "LOCALHOST", "pizza.localhost:80", "127.0.0.1:3000",
         "127.8.9.1", "[::1]:3000", "localhost.", "127.0.0.1."]  # fmt: skip
NAMES = ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example",
         "10.0.0.5", "[2001:db8::1]", "notlocalhost", "2130706433"]  # fmt: skip


@pytest.mark.parametrize("path", ["/orders", "/", "/menu", "/nothing", "/static/pizza.css"])
@pytest.mark.parametrize("host", NAMES[:3])
def test_without_a_key_another_host_name_reads_and_changes_nothing(make, restaurant, path, host):
    """A page whose name is made to mean this machine: DNS rebinding."""
    client = make(False)

    for method in ("GET", "POST"):
        answer = client.open(path, method=method, data=BODY, headers={"Host": host})
        assert (answer.status_code, answer.content_type) == (421, "application/problem+json")
    assert restaurant.placed == []


@pytest.mark.parametrize("host", LOCAL)
def test_without_a_key_loopback_names_are_answered(make, host):
    assert make(False).get("/menu", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", NAMES)
def test_other_names_are_answered_once_there_is_a_key(make, restaurant, host):
    assert make(False).get("/menu", headers={"Host": host}).status_code == 421
    assert make(True).get("/menu", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("pizza.example", 200), ("PIZZA.example:443", 200), ("a.example.org", 200),
     ("a.b.example.org", 200), ("[2001:db8::1]:80", 200), ("localhost", 200), ("127.0.0.1", 200),
     ("example.org", 421), ("evilexample.org", 421), ("pizza.example.evil", 421)],
)  # fmt: skip
@pytest.mark.parametrize("key", [True, False])
def test_with_a_list_only_its_names_and_this_machines_are_answered(make, host, status, key):
    given = {"ALLOWED_HOSTS": "Pizza.example, *.example.org,[2001:db8::1]"}
    client = make(key, allowed_hosts=load({}, given, None).allowed_hosts)

    assert client.get("/menu", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("raw", ["", "*", "a b", "https://x", "x:80", "a,,b", "*.", "a/b", "."])
def test_a_list_that_makes_no_sense_is_refused(raw):
    with pytest.raises(SettingsError, match=r"--allowed-hosts \(ALLOWED_HOSTS\) must be host nam"):
        load({"allowed_hosts": raw}, {}, None)


def raw(client, **environ):
    """The status of a WSGI request, as the server makes it of what it gets."""
    return client.get("/menu", environ_overrides=environ).status_code


@pytest.mark.parametrize(
    "host", ["", "a.example,b.example", "a b", "a/b", "a@b", "a:b", ":80", "."]
)
@pytest.mark.parametrize("key", [True, False])
def test_without_one_good_host_header_a_request_is_400(make, host, key):
    assert raw(make(key), HTTP_HOST=host, SERVER_PROTOCOL="HTTP/1.1") == 400


def test_refused_requests_share_no_exception():
    """A shared one would keep the frames, and so the requests, of all its raises."""
    hosts, refusals = HostCheck(None, lambda: False), []
    for _ in range(2):
        with pytest.raises(Problem) as refusal:
            hosts.check({})
        refusals.append(refusal.value)
    assert refusals[0] is not refusals[1]


@pytest.mark.parametrize("protocol", ["HTTP/1", "HTTP/1.0"])
def test_the_older_http_needs_no_host(make, protocol):
    assert raw(make(False), HTTP_HOST="", SERVER_PROTOCOL=protocol) == 200


def test_a_refused_name_is_logged_once_with_the_remedy(make, caplog):
    caplog.set_level(logging.WARNING)
    client = make(False)
    for name in ("evil.example", "evil.example", "other.example"):
        client.get("/menu", headers={"Host": name})

    (record,) = caplog.records
    assert (record.action, record.details) == ("host_refused", {"host": "evil.example"})
    assert "--allowed-hosts" in record.getMessage()


# --- proxies and tunnels before a service without a key ------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via",
     "CF-Connecting-IP", "True-Client-IP", "CDN-Loop", "X-Forwarded-Port"],
)  # fmt: skip
@pytest.mark.parametrize("proxies", ["none", "127.0.0.1"])
def test_without_a_key_nothing_that_was_forwarded_is_answered(make, caplog, header, proxies):
    caplog.set_level(logging.WARNING)
    trusted = load({}, {"TRUSTED_PROXIES": proxies}, None).trusted_proxies
    client = make(False, trusted_proxies=trusted)
    ask = lambda path: client.get(path, headers={header: "x"})  # noqa: E731

    for path in ("/menu", "/", "/orders", "/static/pizza.css"):
        answer = ask(path)
        assert answer.status_code == 403, path
        assert answer.json["detail"].count(".") == 1
    logged = [each for each in caplog.records if each.action == "forwarded_without_key"]
    assert len(logged) == 1
    assert "--trusted-proxies" in logged[0].getMessage()
    assert "STAFF_KEY" in logged[0].getMessage()


def test_with_a_key_it_is_answered(make):
    assert make(True).get("/menu", headers={"X-Forwarded-For": "1.2.3.4"}).status_code == 200


def test_while_nobody_knows_whether_there_is_a_key_it_is_503(make, restaurant):
    client = make(False)
    restaurant.failure = DatabaseUnavailable("gone")

    assert client.get("/healthz", headers={"X-Forwarded-For": "1.2.3.4"}).status_code == 503
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 503
    assert client.get("/healthz").status_code == 200


# --- keys that vanish ----------------------------------------------------------------------------


def test_when_the_last_key_vanishes_from_the_table_a_key_stays_required(
    restaurant, monkeypatch, caplog
):
    monkeypatch.setattr("pizza.auth.auth_cache._MAX_AGE_S", 0.0)
    restaurant.keys.append(KEY)
    shared = SharedState()
    dependencies = Dependencies(restaurant, shared.read, shared.authentication)
    client = create_app(Settings(), dependencies).test_client()
    assert client.get("/workers/status").status_code == 401

    restaurant.keys.clear()

    for _ in range(3):
        assert client.get("/workers/status").status_code == 401
        assert client.get("/workers/status", headers=shown(KEY)).status_code == 401
    assert client.get("/menu", headers={"Host": "pizza.example"}).status_code == 200
    # A worker that is started in the place of one that died.
    another = create_app(Settings(), dependencies).test_client()
    assert another.get("/workers/status").status_code == 401
    assert [each.action for each in caplog.records].count("staff_keys_vanished") == 1
    # A service that is started again.
    fresh = create_app(Settings(), Dependencies(restaurant)).test_client()
    assert fresh.get("/workers/status").status_code == 200
