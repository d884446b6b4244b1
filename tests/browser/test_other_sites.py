"""Pages of other sites in a real browser, at a service without a staff key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ..support.api_service import Service
from ..support.page_driver import PageDriver

MEAL = {
    "customer_name": "Eve",
    "rush": True,
    "priority": 10,
    "items": [{"name": "Pizza", "quantity": 1, "price": 0.01}],
}
# What a page may send without a preflight.
_SEND = """
const [address, body, done] = arguments;
fetch(address, {method: 'POST', mode: 'no-cors', credentials: 'include', body})
    .then(answer => done(answer.status), error => done(String(error)));
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another site</title>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def other_site() -> Iterator[str]:
    """The origin of another site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://pizza.example:{server.server_port}"
        server.shutdown()
        serving.join()


def send(page: PageDriver, address: str) -> object:
    """The status that a page gets for its order: 0 for an answer that it may not read."""
    page.browser.set_script_timeout(60)
    return page.browser.execute_async_script(_SEND, address, json.dumps(MEAL))


@pytest.mark.parametrize("path", ["/orders", "/orders/"])
def test_a_page_of_another_site_places_no_order(
    service: Service, page: PageDriver, other_site: str, path: str
) -> None:
    page.expect("403")
    page.go(other_site, "/")
    before = service.stored()

    assert send(page, f"http://127.0.0.1:{service.port}{path}") == 0
    assert service.stored() == before


def test_a_page_whose_name_is_made_to_mean_this_machine_is_refused(
    service: Service, page: PageDriver
) -> None:
    """DNS rebinding: to the browser all of it is one origin."""
    page.expect("421")
    origin = f"http://pizza.example:{service.port}"
    before = service.stored()

    page.go(origin, "/")

    # What such a page would send is refused as well (unit/web/security/test_request_checks.py).
    assert "does not answer to this host name" in page.text("body")
    assert service.stored() == before
