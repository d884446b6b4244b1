"""A real Chromium in front of a running restaurant: one of each for the session.

A cook takes takeouts and deliveries and is done at once; dine-in orders wait, and are `received` as
long as a test likes. No station is staffed, so what is ready stays ready.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service as DriverService

from devservices import Servers, find_or_fetch_chromium
from pizza.processes.setup import setup_queues

from ..support.api_service import Service
from ..support.page_driver import PageDriver
from ..support.restaurant import Program

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
    # Over plain HTTP and under a name the browser sends no Sec-Fetch-Site.
    "--host-resolver-rules=MAP pizza.example 127.0.0.1",
)  # fmt: skip


def _house(servers: Servers, template: str, folder: Path, **variables: str) -> Iterator[Service]:
    """A restaurant with a database and a virtual host of its own: queues have the same names."""
    name = f"pages_{uuid4().hex[:12]}"
    db_url = servers.postgres.create_database(name, template=template)
    servers.rabbitmq.ctl("add_vhost", name)
    servers.rabbitmq.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    broker_url = servers.rabbitmq.url.removesuffix("/") + name
    setup_queues(broker_url)
    flags = ["--max-concurrent=0", "--stations=none"]
    running = Service(folder, db_url, broker_url, *flags, **variables)
    try:
        running.program.wait_for("service_started")
        yield running
        assert running.program.stop() == 0
        running.program.check_output()
    finally:
        running.program.process.finish(1)
        servers.postgres.drop_database(name)


@pytest.fixture(scope="session")
def house(
    servers: Servers, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """An order service without staff keys, and one cook who does not do dine-in orders."""
    folder = tmp_path_factory.mktemp("house")
    for service in _house(servers, _template, folder):
        flags = ["--mode=kitchen-worker", "--worker-name=chef_mario", "--cooking-time=0",
                 "--order-types=takeout,delivery"]  # fmt: skip
        where = {"DB_URL": service.db_url, "RABBITMQ": service.broker_url}
        cook = Program(folder, "cook", flags, where)
        try:
            cook.wait_for("worker_connected")
            yield service
        finally:
            cook.stop()


@pytest.fixture(scope="session")
def closed_house(
    servers: Servers, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """An order service with a staff key; it trusts a proxy on this machine."""
    folder = tmp_path_factory.mktemp("closed")
    variables = {"STAFF_KEY": "a-sound-key-of-the-staff", "TRUSTED_PROXIES": "127.0.0.1"}
    yield from _house(servers, _template, folder, **variables)


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    found = find_or_fetch_chromium()
    options = ChromeOptions()
    options.binary_location = str(found.browser)
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = DriverService(str(found.driver), env={**os.environ, **found.environment})
    browser: Any = Chrome(options=options, service=driver)
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture
def visitor(_chromium: Chrome) -> Iterator[PageDriver]:
    """Somebody at a desk whose browser has been nowhere; no page may break its own policy."""
    guest = PageDriver(_chromium)
    yield guest
    guest.leave()
