"""The pages behind an nginx that replaces Host, below a path, over plain HTTP.

The browser knows the service as http://pizza.example, and sends no Sec-Fetch-Site.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.api_service import Service
from ..support.page_driver import PageDriver
from ..support.waiting import wait_until
from ..support.web_proxies import nginx_sites
from .test_login import KEY, MEAL, log_in

_LOCATION = """
    location /sub/ {{
        proxy_pass http://127.0.0.1:{service}/;
        proxy_set_header X-Forwarded-Prefix /sub;
    }}
"""


@pytest.fixture(scope="module")
def site(secured_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of the pages."""
    folder = tmp_path_factory.mktemp("nginx")
    with nginx_sites(folder, secured_service.port, [_LOCATION]) as (port,):
        yield f"http://pizza.example:{port}"


@pytest.mark.parametrize("scripts", [True, False])
def test_a_customer_orders_and_cancels(site: str, page: PageDriver, scripts: bool) -> None:
    page.looks((390, 844), scripts=scripts)
    page.go(site, "/sub/")
    page.find("#dish-margherita-pizza").send_keys("1")
    page.fill("customer_name", "Ada Order")
    page.click("#send")
    wait_until(lambda: page.path.startswith("/sub/track/"), 10, "the tracker is there")
    page.sees("h1", "We have your order")

    page.click("summary")
    page.click("form[action$=cancel] button")

    page.sees("h1", "cancelled")


def test_staff_logs_in_and_changes_an_order_and_the_kitchen(
    site: str, secured_service: Service, page: PageDriver
) -> None:
    page.go(site, "/sub/kitchen")
    assert page.path.startswith("/sub/login")
    log_in(page, KEY)
    order = secured_service.order({**MEAL, "customer_name": "Nora Nginx"}).json
    page.sees(".ticket", "Nora Nginx")
    ticket = f".ticket[data-number={order['order_number']}]"
    page.run(f"document.querySelector('{ticket} article').focus()")
    page.press("p", "BACKSPACE", "7", "TAB", *"hungry", "ENTER")
    page.sees(ticket, "priority 7", 12)

    page.expect("401")  # the board may look once more while it is being left
    page.go(site, "/sub/manage")
    page.fill("reason", "a power cut")
    page.click("#pause button")
    page.sees("#pause", "Take orders again")
    page.click("#pause button")
    page.sees("#pause", "Pause")
    page.click(".top button")
    wait_until(lambda: page.path == "/sub/", 10, "it is logged out")
    page.go(site, f"{order['tracking_url'].replace('/track', '/sub/track')}")
    page.sees("h1", "We have your order")
