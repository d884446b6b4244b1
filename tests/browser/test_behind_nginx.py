"""The pages behind an nginx that replaces Host, below a path, over plain HTTP.

The browser knows the service as http://pizza.example, and sends no Sec-Fetch-Site.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devservices import GuardedProcess, free_port

from ..support.api_service import Service
from ..support.page_driver import PageDriver
from ..support.waiting import wait_until
from ..support.web_proxies import listens, nginx_site
from .test_login import KEY, MEAL, log_in

_LOCATION = """
    location /sub/ {{
        proxy_pass http://127.0.0.1:{service}/;
        proxy_set_header X-Forwarded-Prefix /sub;
    }}
"""


@pytest.fixture(scope="module")
def site(closed_house: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of the pages."""
    port, folder = free_port(), tmp_path_factory.mktemp("nginx")
    nginx = GuardedProcess(nginx_site(folder, closed_house.port, port, _LOCATION), cwd=folder)
    try:
        wait_until(lambda: listens(port), 10, "nginx listens")
        yield f"http://pizza.example:{port}"
    finally:
        nginx.kill()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_guest_orders_and_cancels(site: str, visitor: PageDriver, scripts: bool) -> None:
    visitor.looks((390, 844), scripts=scripts)
    visitor.go(site, "/sub/")
    visitor.find("#dish-margherita-pizza").send_keys("1")
    visitor.fill("customer_name", "Ada Order")
    visitor.click("#send")
    wait_until(lambda: visitor.path.startswith("/sub/track/"), 10, "the tracker is there")
    visitor.sees("h1", "We have your order")

    visitor.click("summary")
    visitor.click("form[action$=cancel] button")

    visitor.sees("h1", "cancelled")


def test_staff_logs_in_and_changes_an_order_and_the_kitchen(
    site: str, closed_house: Service, visitor: PageDriver
) -> None:
    visitor.go(site, "/sub/kitchen")
    assert visitor.path.startswith("/sub/login")
    log_in(visitor, KEY)
    order = closed_house.order({**MEAL, "customer_name": "Nora Nginx"}).json
    visitor.sees(".ticket", "Nora Nginx")
    ticket = f".ticket[data-number={order['order_number']}]"
    visitor.run(f"document.querySelector('{ticket} article').focus()")
    visitor.press("p", "BACKSPACE", "7", "TAB", *"hungry", "ENTER")
    visitor.sees(ticket, "priority 7", 12)

    visitor.expect("401")  # the board may look once more while it is being left
    visitor.go(site, "/sub/manage")
    visitor.fill("reason", "a power cut")
    visitor.click("#pause button")
    visitor.sees("#pause", "Take orders again")
    visitor.click("#pause button")
    visitor.sees("#pause", "Pause")
    visitor.click(".top button")
    wait_until(lambda: visitor.path == "/sub/", 10, "it is logged out")
    visitor.go(site, f"{order['tracking_url'].replace('/track', '/sub/track')}")
    visitor.sees("h1", "We have your order")
