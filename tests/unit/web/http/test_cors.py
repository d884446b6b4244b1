"""Pages of other origins: what they may read and send if they are listed."""

import pytest

from pizza.config.settings import Settings, SettingsError, load
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies
from pizza.web.http.cors import allow_origins

SHOP, EVIL = {"Origin": "https://shop.example"}, {"Origin": "https://evil.example"}
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


@pytest.fixture
def make_client(restaurant):
    """Gives a client of a service with these origins."""

    def make(origins):
        settings = load({}, {"CORS_ORIGINS": origins}, None)
        app = create_app(Settings(), Dependencies(restaurant))
        app.wsgi_app = allow_origins(app.wsgi_app, settings.cors_origins)
        return app.test_client()

    return make


def crossing(response):
    return {
        name.removeprefix("Access-Control-"): value
        for name, value in response.headers
        if name.startswith("Access-Control-")
    }


def test_by_default_no_origin_is_allowed(make_client):
    client = make_client("none")

    for response in (client.get("/menu", headers=SHOP), client.options("/orders", headers=SHOP)):
        assert crossing(response) == {}
        assert "Origin" not in response.headers.get("Vary", "")


@pytest.mark.parametrize(
    ("path", "status"), [("/menu", 200), ("/nothing", 404), ("/orders/x/status", 404)]
)
def test_a_listed_origin_may_read_every_answer(make_client, path, status):
    response = make_client("https://shop.example").get(path, headers=SHOP)

    assert response.status_code == status
    found = crossing(response)
    assert found["Allow-Origin"] == "https://shop.example"
    assert found["Allow-Credentials"] == "true"
    assert {"ETag", "Location", "Retry-After", "Link"} <= set(found["Expose-Headers"].split(", "))
    assert "Origin" in response.headers.get_all("Vary")


def test_another_origin_may_not_and_no_cache_confuses_the_two(make_client):
    client = make_client("https://shop.example")

    for headers in (EVIL, {"Origin": "null"}, {}):
        response = client.get("/menu", headers=headers)
        assert crossing(response) == {}
        assert "Origin" in response.headers.get_all("Vary")
        assert crossing(client.options("/orders", headers={**headers, **PREFLIGHT})) == {}


def test_a_preflight_names_allowed_methods_and_headers(make_client):
    response = make_client("https://shop.example").options("/orders", headers={**SHOP, **PREFLIGHT})

    assert (response.status_code, response.data) == (204, b"")
    found = crossing(response)
    assert found["Allow-Origin"] == "https://shop.example"
    assert {"POST", "PUT", "DELETE"} <= set(found["Allow-Methods"].split(", "))
    assert {"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"} <= set(
        found["Allow-Headers"].split(", ")
    )


def test_a_listed_origin_may_change_what_our_own_pages_may(make_client):
    client = make_client("https://shop.example,http://localhost:5173")
    cross = {"Sec-Fetch-Site": "cross-site"}

    for origin, refused in ((SHOP, False), ({"Origin": "http://localhost:5173"}, False),
                            (EVIL, True), ({"Origin": "http://localhost"}, True)):  # fmt: skip
        response = client.post("/kitchen/resume", data=b"{}", headers={**origin, **cross})
        assert (response.status_code == 403) is refused


def test_with_a_star_all_origins_may_read_without_a_cookie(make_client):
    client = make_client("*")
    response = client.get("/menu", headers=EVIL)

    assert crossing(response)["Allow-Origin"] == "*"
    assert "Allow-Credentials" not in crossing(response)
    assert client.post("/kitchen/resume", data=b"{}", headers=EVIL).status_code == 403


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("https://Shop.Example:443", ("https://shop.example",)),
        ("*", ("*",)),
        ("none", ()),
        ("http://[::1]:81, http://a-b.example", ("http://[::1]:81", "http://a-b.example")),
    ],
)
def test_origins_are_written_as_browsers_do(raw, read):
    assert load({}, {"CORS_ORIGINS": raw}, None).cors_origins == read


@pytest.mark.parametrize(
    "raw",
    ["shop.example", "https://shop.example/", "https://u@h", "null", "*,https://a", "ftp://a"],
)
def test_what_is_no_origin_is_a_sentence(raw):
    sentence = r"--cors-origins \(CORS_ORIGINS\) must be origins such as https://shop.example, not"
    with pytest.raises(SettingsError, match=sentence):
        load({}, {"CORS_ORIGINS": raw}, None)
