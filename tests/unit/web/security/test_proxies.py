"""Headers of proxies, and from which of them they are trusted."""

import json
import logging

import pytest

from pizza.config.settings import Settings, load
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.security.forwarded import Forwarding
from pizza.web.security.proxies import behind_proxies, client_of, network_of

KEY = "a key of the staff"
PROXY = {"REMOTE_ADDR": "10.0.0.1"}
BODY = json.dumps({"customer_name": "Jo", "items": [{"name": "Tea", "quantity": 1, "price": 2}]})
PAGE = {"Accept": "text/html"}


def seen(trusted="10.0.0.0/8", **environ):
    """The WSGI environment of a request behind `behind_proxies`."""
    networks = load({}, {"TRUSTED_PROXIES": trusted}, None).trusted_proxies
    found = {"wsgi.url_scheme": "http", "HTTP_HOST": "10.0.0.9:3000", **PROXY, **environ}
    list(behind_proxies(lambda env, start: [], networks)(found, lambda *_: None))
    return found


def client(remote, trusted, **headers):
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return client_of(seen(trusted, REMOTE_ADDR=remote, **environ))


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "found"),
    [
        ("10.0.0.1", "198.51.100.1", "none", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "10.0.0.0/8", "198.51.100.1"),
        ("203.0.113.7", "198.51.100.1", "10.0.0.0/8", "203.0.113.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.0/8", "10.0.0.1"),
        ("127.0.0.1", "2001:db8::9", "127.0.0.1,::1", "2001:db8::/64"),
        ("::ffff:10.0.0.1", "198.51.100.1", "10.0.0.1", "198.51.100.1"),
    ],
)
def test_headers_of_a_trusted_proxy_are_used(remote, forwarded, trusted, found):
    assert client(remote, trusted, x_forwarded_for=forwarded) == found


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::9]:4711", "2001:db8::/64"),
        ("[2001:db8::9]", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ('"198.51.100.1"', "198.51.100.1"),
    ],
)
def test_an_address_is_read_as_proxies_write_it(forwarded, found):
    assert client("10.0.0.1", "10.0.0.0/8", x_forwarded_for=forwarded) == found


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('For="[2001:db8::9]:4711";proto=https', "2001:db8::/64"),
        ('for=6.6.6.6, for="198.51.100.1:80";by=_me', "198.51.100.1"),
        ("for=198.51.100.1, for=10.0.0.2", "198.51.100.1"),
        ('for="198.51.100.\\1"', "198.51.100.1"),
        ("for=198.51.100.1, for=unknown", "127.0.0.1"),
        ("for=_hidden", "127.0.0.1"),
        ("proto=https", "127.0.0.1"),
        ("for=198.51.100.1 garbage", "127.0.0.1"),
        ('for="198.51.100.1', "127.0.0.1"),
    ],
)
def test_forwarded_is_read_as_well(forwarded, found):
    assert client("127.0.0.1", "127.0.0.1,10.0.0.2", forwarded=forwarded) == found


@pytest.mark.parametrize("value", ["unknown", "_hidden", "nonsense", "198.51.100.1, ", "1.2.3.4:x"])
@pytest.mark.parametrize("proxy", ["127.0.0.1", "10.0.0.1"])
def test_an_unreadable_header_counts_as_the_proxys_own_request(restaurant, proxy, value):
    networks = load({}, {"TRUSTED_PROXIES": "127.0.0.1,10.0.0.1"}, None).trusted_proxies
    settings = Settings(rate_limit=2, trusted_proxies=networks)
    restaurant.keys.append(KEY)
    http = create_app(settings, Dependencies(restaurant)).test_client()
    headers = {"X-Forwarded-For": value}
    ask = lambda: http.get("/menu", environ_base={"REMOTE_ADDR": proxy}, headers=headers)  # noqa: E731

    assert [ask().status_code for _ in range(3)] == [200, 200, 429]


def test_a_request_without_any_such_header_is_the_proxys_own(restaurant):
    assert client("127.0.0.1", "127.0.0.1") == "127.0.0.1"
    assert client("127.0.0.1", "10.0.0.1") is None


def test_two_headers_that_differ_are_ignored():
    """A proxy passes on the header that it does not write, as the client wrote it."""
    both = {"x_forwarded_for": "198.51.100.1", "forwarded": "for=6.6.6.6"}
    assert client("10.0.0.1", "10.0.0.0/8", **both) == "10.0.0.1"
    both["forwarded"] = "for=198.51.100.1"
    assert client("10.0.0.1", "10.0.0.0/8", **both) == "198.51.100.1"


@pytest.mark.parametrize(
    ("headers", "host", "scheme"),
    [
        ({"X_FORWARDED_HOST": "pizza.example"}, "pizza.example", "http"),
        ({"X_FORWARDED_HOST": "pizza.example", "X_FORWARDED_PORT": "8080"}, "pizza.example:8080",
         "http"),
        ({"X_FORWARDED_HOST": "pizza.example:81", "X_FORWARDED_PORT": "8080"}, "pizza.example:81",
         "http"),
        ({"X_FORWARDED_HOST": "pizza.example", "X_FORWARDED_PORT": "443",
          "X_FORWARDED_PROTO": "https"}, "pizza.example", "https"),
        ({"X_FORWARDED_HOST": "[2001:db8::1]", "X_FORWARDED_PORT": "81"}, "[2001:db8::1]:81",
         "http"),
        ({"X_FORWARDED_HOST": "evil.example, pizza.example"}, "pizza.example", "http"),
        ({"X_FORWARDED_HOST": "pizza.example/evil"}, "10.0.0.9:3000", "http"),
        ({"X_FORWARDED_PROTO": "ftp"}, "10.0.0.9:3000", "http"),
        ({"FORWARDED": 'for=1.2.3.4;host="pizza.example:81";proto=https'}, "pizza.example:81",
         "https"),
        ({"HOST": "pizza.example", "X_FORWARDED_PORT": "81"}, "pizza.example:81", "http"),
        ({"HOST": "pizza.example", "X_FORWARDED_PORT": "0"}, "pizza.example", "http"),
        # The farther of two trusted proxies has got the client's request.
        ({"X_FORWARDED_FOR": "1.2.3.4, 10.0.0.2", "X_FORWARDED_PROTO": "https, http",
          "X_FORWARDED_HOST": "pizza.example"}, "pizza.example", "https"),
    ],
)  # fmt: skip
def test_host_port_and_scheme_are_those_that_the_client_has_asked_for(headers, host, scheme):
    environ = seen(**{f"HTTP_{name}": value for name, value in headers.items()})

    assert (environ["HTTP_HOST"], environ["wsgi.url_scheme"]) == (host, scheme)


def test_headers_of_an_untrusted_client_set_no_host_scheme_or_prefix():
    said = {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_X_FORWARDED_PROTO": "https",
            "HTTP_X_FORWARDED_PREFIX": "/evil"}  # fmt: skip
    environ = seen(REMOTE_ADDR="203.0.113.7", **said)

    assert (environ["HTTP_HOST"], environ["wsgi.url_scheme"]) == ("10.0.0.9:3000", "http")
    assert "SCRIPT_NAME" not in environ


@pytest.mark.parametrize(
    ("value", "prefix"),
    [("/sub", "/sub"), ("/sub/", "/sub"), ("/a/b", "/a/b"), ("/", None), ("//evil.example", None),
     ("/a//b", None), ("sub", None), ('/"><script>', None), ("https://evil.example", None)],
)  # fmt: skip
def test_a_prefix_is_a_path_and_nothing_else(value, prefix):
    assert Forwarding({"HTTP_X_FORWARDED_PREFIX": value}).prefix(1) == prefix


@pytest.fixture
def proxied_client(restaurant):
    """A client behind a trusted proxy, at a service that asks for a key."""
    restaurant.keys.append(KEY)
    networks = load({}, {"TRUSTED_PROXIES": "10.0.0.1"}, None).trusted_proxies
    app = create_app(Settings(trusted_proxies=networks), Dependencies(restaurant))
    return app.test_client(use_cookies=False)


def test_below_a_prefix_every_address_begins_with_it(proxied_client):
    below = {"environ_base": PROXY, "headers": {"X-Forwarded-Prefix": "/sub"}}
    placed = proxied_client.post("/orders", data=BODY, **below)
    page = proxied_client.get("/", **below | {"headers": below["headers"] | PAGE}).text
    login = proxied_client.get("/manage", **below | {"headers": below["headers"] | PAGE})
    opened = proxied_client.post("/login", data={"key": KEY, "next": "/manage"}, **below)

    assert placed.headers["Location"].startswith("/sub/orders/")
    assert placed.json["tracking_url"].startswith("/sub/track/")
    assert 'data-root="/sub"' in page
    assert 'href="/sub/static/pizza.css"' in page
    assert 'href="/static' not in page and 'action="/"' not in page
    assert login.headers["Location"] == "/sub/login?next=%2Fmanage"
    assert opened.headers["Location"] == "/sub/manage"
    assert "Path=/sub" in opened.headers["Set-Cookie"]
    description = proxied_client.get("/openapi.json", **below).json
    assert description["servers"] == [{"url": "/sub"}]


def session(http):
    """The cookie of a session, as a browser shows it."""
    opened = http.post("/login", data={"key": KEY})
    return {"Cookie": opened.headers["Set-Cookie"].partition(";")[0]}


INSIDE = {"Host": "127.0.0.1:3000"}
OURS, THEIRS = {"Origin": "http://pizza.example"}, {"Origin": "https://evil.example"}


def test_a_page_is_of_this_site_under_the_name_that_the_proxy_gives(proxied_client):
    """A browser without Sec-Fetch-Site: any of them over plain HTTP."""
    cookie = session(proxied_client)
    named = {"X-Forwarded-Host": "pizza.example"}

    def statuses(*headers):
        response = proxied_client.post(
            "/kitchen/resume",
            data=b"{}",
            environ_base=PROXY,
            headers={name: value for each in headers for name, value in each.items()},
        )
        return response.status_code

    assert statuses(INSIDE, named, OURS, cookie) != 403
    assert statuses(INSIDE, named, THEIRS, cookie) == 403
    assert statuses({"Host": "pizza.example"}, {"Origin": "http://pizza.example:80"}, cookie) != 403
    assert statuses({"Host": "pizza.example"}, {"Origin": "http://pizza.example:81"}, cookie) != 403


def test_behind_a_proxy_that_hides_the_name_a_session_is_proof_enough(proxied_client):
    cookie = session(proxied_client)

    def ask(path, *headers, environ=PROXY):
        response = proxied_client.post(
            path,
            data=b"{}",
            environ_base=environ,
            headers={name: value for each in headers for name, value in each.items()},
        )
        return response.status_code

    assert ask("/kitchen/resume", INSIDE, OURS, cookie) != 403
    # What uses no right of the browser's owner.
    assert ask("/login", INSIDE, OURS) == ask("/login", {"Sec-Fetch-Site": "same-origin"})
    for doubtful in ({"Origin": "null"}, {**OURS, "Sec-Fetch-Site": "cross-site"}):
        assert ask("/kitchen/resume", INSIDE, doubtful, cookie) == 403
    # Not so where Host is a name of ours, and not for an untrusted proxy.
    assert ask("/kitchen/resume", {"Host": "pizza.example"}, THEIRS, cookie) == 403
    near = {"REMOTE_ADDR": "127.0.0.1"}
    assert ask("/kitchen/resume", INSIDE, OURS, cookie, environ=near) == 403


def test_without_a_key_a_proxy_that_hides_the_host_gets_nothing(restaurant):
    networks = load({}, {"TRUSTED_PROXIES": "10.0.0.1"}, None).trusted_proxies
    http = create_app(Settings(trusted_proxies=networks), Dependencies(restaurant)).test_client()
    refused = http.post(
        "/kitchen/resume", data=b"{}", environ_base=PROXY, headers={**INSIDE, **THEIRS}
    )

    assert refused.status_code == 403
    assert refused.json["detail"].endswith(
        "It came from https://evil.example, and this service was addressed as 127.0.0.1:3000. If "
        "both are the same site, have the proxy pass Host on, and name the proxy in "
        "--trusted-proxies."
    )


@pytest.mark.parametrize(
    ("said", "readable"),
    [
        ({}, False),
        ({"HTTP_X_FORWARDED_FOR": "unknown"}, False),
        ({"HTTP_FORWARDED": "for=x"}, False),
        ({"HTTP_X_FORWARDED_FOR": "203.0.113.7:4711"}, True),
        ({"HTTP_FORWARDED": "for=1.2.3.4"}, True),
    ],
)
def test_a_trusted_proxy_that_names_no_client_is_logged_once(caplog, said, readable):
    caplog.set_level(logging.WARNING)
    trusted = load({}, {"TRUSTED_PROXIES": "127.0.0.1"}, None).trusted_proxies
    wrapped = behind_proxies(lambda env, start: [], trusted)
    for _ in range(3):
        wrapped({"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", **said}, lambda *_: None)

    logged = [each.action for each in caplog.records]
    assert logged == ([] if readable else ["proxy_names_no_client"])


def test_a_proxy_on_this_machine_that_is_not_named_is_one_limited_client(restaurant):
    restaurant.keys.append(KEY)
    http = create_app(Settings(rate_limit=2), Dependencies(restaurant)).test_client()
    headers = [{"X-Forwarded-For": f"203.0.113.{n}"} for n in range(3)]
    ask = lambda said: http.get("/menu", headers=said).status_code  # noqa: E731

    assert [ask(each) for each in headers] == [200, 200, 429]
    assert ask({}) == 200


@pytest.mark.parametrize(
    ("client", "network"),
    [("203.0.113.7", "203.0.113.0/24"), ("2001:db8:1:2::/64", "2001:db8:1::/48")],
)
def test_the_network_of_a_client_is_what_a_provider_hands_out(client, network):
    assert network_of(client) == network


def test_an_unnamed_proxy_is_logged_once(caplog):
    caplog.set_level(logging.WARNING)
    wrapped = behind_proxies(lambda env, start: [], ())
    for remote in ("93.184.215.14", "127.0.0.1", "127.0.0.1"):
        wrapped({"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": "1.2.3.4"}, lambda *_: None)

    (record,) = caplog.records
    assert record.action == "proxy_not_trusted"
    assert "127.0.0.1 is not among --trusted-proxies" in record.getMessage()
