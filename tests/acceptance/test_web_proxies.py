"""Behind real proxies: conditional requests, limits of clients, streams, pages, and sub-paths."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urldefrag, urlencode, urljoin

import pytest

from ..support.api_service import TIMEOUT_S, Answer, Service, module_service
from ..support.waiting import wait_until
from ..support.web_proxies import Sites, web_proxies

KEY = "a-sound-key-of-the-staff"
STAFF = {"Authorization": f"Bearer {KEY}"}
LIMIT = 20
MEAL = {"customer_name": "Jane Roe", "items": [{"name": "Pizza", "quantity": 1, "price": 18.99}]}
BROWSER = {"Accept": "text/html"}
ROOTS = (
    "nginx", "deploy/nginx.conf", "deploy/Caddyfile", "haproxy", "apache",
)  # fmt: skip
BELOW = ("deploy/nginx.conf below a path", "deploy/Caddyfile below a path")
PREFIX = "/pizza"

service = module_service(
    "--max-concurrent=0", "--web-workers=1", f"--rate-limit={LIMIT}", "--trusted-proxies=127.0.0.1",
    "--client-places=0", STAFF_KEY=KEY, CORS_ORIGINS="https://shop.example",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the proxies have their files."""
    found = tmp_path_factory.mktemp("proxies")
    found.chmod(0o755)
    return found


@pytest.fixture(scope="module")
def sites(service: Service, folder: Path) -> Iterator[Sites]:
    with web_proxies(folder, service.port) as running:
        yield running


@pytest.fixture(autouse=True)
def _kitchen_resumed(service: Service) -> Iterator[None]:
    yield
    assert service.request("POST", "/kitchen/resume", b"{}", STAFF).status == 200


class SiteClient:
    """A client of one site with a separate address, so each test has its own limit."""

    _used = 1

    def __init__(self, sites: Sites, site: str) -> None:
        SiteClient._used += 1
        self.port = sites[site]
        self.secure = site.startswith("deploy/nginx.conf")
        self.address = f"127.0.{SiteClient._used // 250}.{SiteClient._used % 250 + 2}"
        self.origin = f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"

    def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send a request; the response's body is not read yet."""
        source = (self.address, 0)
        link: http.client.HTTPConnection
        if self.secure:
            trusting = ssl._create_unverified_context()
            link = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=TIMEOUT_S, source_address=source, context=trusting
            )
        else:
            link = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=TIMEOUT_S, source_address=source
            )
        # nginx as it comes passes this on, so that this visitor is limited apart from others.
        alone = {"X-Forwarded-For": self.address}
        link.request(method, path, body, {**alone, **(headers or {})})
        return link, link.getresponse()

    def connect(self) -> ssl.SSLSocket:
        """A connection of TLS that sends and receives bytes."""
        link = socket.create_connection(
            ("127.0.0.1", self.port), timeout=TIMEOUT_S, source_address=(self.address, 0)
        )
        return ssl._create_unverified_context().wrap_socket(link)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        link, response = self.open(method, path, body, headers)
        with closing(link):
            return Answer(response.status, response.headers, response.read())

    def form(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """A form as a browser without Sec-Fetch-Site posts it."""
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin}
        body = urlencode(fields).encode()
        return self.ask("POST", path, body, {**BROWSER, **kind, **headers})


def placed(visitor: SiteClient, root: str = "") -> dict[str, str]:
    reply = visitor.ask("POST", f"{root}/orders", json.dumps(MEAL).encode(), STAFF)
    assert reply.status == 201, reply.body
    return dict(reply.json)


def is_limited(visitor: SiteClient, address: str) -> bool:
    """Whether a client is refused that says these addresses of itself; {} becomes a number."""
    # A limit counts by the minute: the requests may lie in two of them.
    return any(
        visitor.ask("GET", "/menu", headers={"X-Forwarded-For": address.format(number)}).status
        == 429
        for number in range(2 * LIMIT + 1)
    )


@pytest.mark.parametrize("site", ROOTS)
def test_the_etag_of_a_compressed_answer_guards_a_change(sites: Sites, site: str) -> None:
    visitor = SiteClient(sites, site)
    path = f"/orders/{placed(visitor)['order_number']}"
    # More than any of them leaves as it is.
    body = json.dumps({"priority": 10, "reason": "because " * 60}).encode()
    visitor.ask("POST", f"{path}/priority", body, STAFF)
    zipped = {**STAFF, "Accept-Encoding": "gzip"}
    seen = visitor.ask("GET", path, headers=zipped)
    tag = seen.headers["ETag"]
    json.loads(gzip.decompress(seen.body) if seen.headers["Content-Encoding"] else seen.body)

    assert visitor.ask("GET", path, headers={**zipped, "If-None-Match": tag}).status == 304
    changed = visitor.ask("POST", f"{path}/cancel", b'{"reason":"x"}', {**STAFF, "If-Match": tag})
    assert changed.status == 200, changed.body
    again = visitor.ask("POST", f"{path}/cancel", b'{"reason":"x"}', {**STAFF, "If-Match": tag})
    assert again.status == 412


def test_nginx_and_apache_mark_the_etag(sites: Sites) -> None:
    """What the test above is about; if this fails, it no longer tries anything."""
    for site, mark in (("nginx", r'W/"[0-9a-f-]+"'), ("apache", r'"[0-9a-f-]+-gzip"')):
        visitor = SiteClient(sites, site)
        path = f"/orders/{placed(visitor)['order_number']}"
        seen = visitor.ask("GET", path, headers={**STAFF, "Accept-Encoding": "gzip"})
        assert re.fullmatch(mark, seen.headers["ETag"])


@pytest.mark.parametrize("site", [*ROOTS, "nginx-unknown", "nginx-with-port", "nginx-forwarded"])
def test_a_client_behind_a_proxy_is_limited_whatever_it_says_itself(
    sites: Sites, site: str
) -> None:
    visitor = SiteClient(sites, site)

    # nginx as it comes passes on what its client says: only its configuration can end that.
    assert is_limited(visitor, "" if site == "nginx" else "198.51.100.{}")


@pytest.mark.parametrize(
    "site",
    [
        "deploy/nginx.conf",
        "deploy/Caddyfile",
        "haproxy",
        "apache",
        "nginx-with-port",
        "nginx-forwarded",
    ],
)
def test_another_client_of_the_same_proxy_has_a_limit_of_its_own(sites: Sites, site: str) -> None:
    greedy = SiteClient(sites, site)

    silent = {"X-Forwarded-For": ""}
    assert is_limited(greedy, silent["X-Forwarded-For"])
    assert SiteClient(sites, site).ask("GET", "/menu", headers=silent).status == 200


@pytest.mark.parametrize("site", ROOTS)
def test_a_stream_comes_at_once(sites: Sites, site: str) -> None:
    visitor = SiteClient(sites, site)
    address = placed(visitor)["tracking_url"]
    link, stream = visitor.open("GET", f"{address}/events", headers={"Accept-Encoding": "gzip"})
    assert stream.headers["Content-Encoding"] is None
    while not (line := stream.readline()).startswith(b"data:"):
        assert line
    link.close()


@pytest.mark.parametrize("site", ROOTS)
def test_a_page_changes_the_kitchen_in_a_browser_without_sec_fetch_site(
    sites: Sites, site: str
) -> None:
    visitor = SiteClient(sites, site)
    opened = visitor.form("/login", {"key": KEY, "next": "/manage"})
    assert (opened.status, opened.headers["Location"]) in [
        (303, "/manage"),
        (303, f"{visitor.origin}/manage"),
    ]
    cookie = opened.headers["Set-Cookie"]
    assert ("Secure" in cookie) is visitor.secure
    session = {"Cookie": cookie.partition(";")[0]}

    assert visitor.form("/manage", {"do": "pause"}, **session).status == 303
    assert visitor.form("/manage", {"do": "resume"}, **session).status == 303
    # A browser sends no cookie (SameSite=Strict) with what another site has it send.
    stranger = {"Origin": "https://evil.example"}
    assert visitor.form("/manage", {"do": "pause"}, **stranger).status in (303, 401, 403)
    board = visitor.ask("GET", "/kitchen", headers=STAFF)
    assert board.json["paused"] is False


@pytest.mark.parametrize("site", ["deploy/nginx.conf", "deploy/Caddyfile", "haproxy"])
def test_a_page_of_another_site_is_refused_where_the_proxy_passes_the_name_on(
    sites: Sites, site: str
) -> None:
    visitor = SiteClient(sites, site)
    cookie = visitor.form("/login", {"key": KEY}).headers["Set-Cookie"].partition(";")[0]
    stranger = {"Origin": "https://evil.example", "Cookie": cookie}
    if site == "haproxy":
        stranger["Host"] = "pizza.example"

    refused = visitor.form("/manage", {"do": "pause"}, **stranger)

    assert refused.status == 403


@pytest.mark.parametrize("site", BELOW)
def test_everything_works_below_a_path(sites: Sites, site: str) -> None:
    visitor = SiteClient(sites, site)
    order = placed(visitor, PREFIX)
    login = visitor.ask("GET", f"{PREFIX}/manage", headers=BROWSER)
    session = visitor.form(f"{PREFIX}/login", {"key": KEY, "next": "/manage"})
    cookie = {"Cookie": session.headers["Set-Cookie"].partition(";")[0]}

    assert login.headers["Location"] == f"{PREFIX}/login?next=%2Fmanage"
    assert session.headers["Location"] == f"{PREFIX}/manage"
    assert order["tracking_url"].startswith(f"{PREFIX}/track/")
    for page in (f"{PREFIX}/", order["tracking_url"], f"{PREFIX}/manage", f"{PREFIX}/kitchen"):
        found = visitor.ask("GET", page, headers={**BROWSER, **STAFF, **cookie})
        assert found.status == 200, page
        for name in re.findall(r'(?:href|src)="([^"]+)"', found.body.decode()):
            address = urldefrag(urljoin(page, name)).url
            assert address.startswith(PREFIX)
            assert visitor.ask("GET", address, headers={**STAFF}).status == 200, address
    assert (
        visitor.form(f"{PREFIX}/manage", {"do": "resume"}, **cookie).headers["Location"]
        == f"{PREFIX}/manage"
    )


def test_nginx_holds_back_half_sent_bodies_and_bounds_the_connections_of_an_address(
    sites: Sites,
) -> None:
    slow, other = (SiteClient(sites, "deploy/nginx.conf") for _ in range(2))
    half = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"

    def send_half(_: object) -> ssl.SSLSocket:
        link = closing.enter_context(slow.connect())
        link.sendall(half)
        return link

    # All of them within the ten seconds after which nginx ends the first: on a busy machine a
    # hundred handshakes, one after the other, take longer.
    with ExitStack() as closing, ThreadPoolExecutor(35) as pool:
        links = list(pool.map(send_half, range(105)))
        assert slow.ask("GET", "/menu", headers=STAFF).status == 429
        assert placed(other)
        answers = [b"".join(iter(lambda: link.recv(4096), b"")) for link in links]  # noqa: B023
    refused = [each for each in answers if each.startswith(b"HTTP/1.1 429 ")]
    rest = [each for each in answers if each not in refused]
    # Beyond a hundred of them nginx refuses at once.
    assert 1 <= len(refused) <= 10
    # It gives up after ten seconds, some versions without a word.
    assert set(rest) == {b""} or all(each.startswith(b"HTTP/1.1 408 ") for each in rest)


def test_nginx_logs_no_token(sites: Sites, folder: Path) -> None:
    visitor = SiteClient(sites, "deploy/nginx.conf")
    token = placed(visitor)["tracking_token"]
    for path in (f"/track/{token}", f"//track/{token}", f"/track/{token}/events?x=1"):
        with closing(visitor.open("GET", path)[0]):
            pass
    visitor.ask("GET", "/menu?the-last-one")

    log = folder / "deployed-access.log"
    wait_until(lambda: "the-last-one" in log.read_text(), 10, "nginx has written its log")
    assert token not in log.read_text()
    assert token not in (folder / "deployed-error.log").read_text()


def test_http_is_sent_on_to_https(sites: Sites) -> None:
    sent = SiteClient(sites, "redirect").ask("GET", "/track/x", headers={"Host": "pizza.example"})

    assert (sent.status, sent.headers["Location"]) == (301, "https://pizza.example/track/x")


def test_a_listed_origin_may_read_errors_and_streams_too(service: Service, sites: Sites) -> None:
    visitor = SiteClient(sites, "deploy/nginx.conf")
    shop = {"Origin": "https://shop.example"}
    order = placed(visitor)
    link, stream = visitor.open("GET", f"{order['tracking_url']}/events", headers=shop)
    asked = {**shop, "Access-Control-Request-Method": "POST"}

    for headers in (
        stream.headers,
        visitor.ask("POST", "/orders", b"{}", shop).headers,
        visitor.ask("OPTIONS", "/orders", headers=asked).headers,
    ):
        assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
    link.close()
