"""A real Chromium and two order services, one of each for the session.

One cook cooks takeouts and deliveries at once. Dine-in orders have no cook and stay `received`. No
station is staffed, so a ready order stays ready.
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

from devservices import Servers
from devservices.install import chromium
from pizza.processes.setup import setup_queues

from ..support.api_service import Service
from ..support.page_driver import PageDriver
from ..support.restaurant import Program

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Over plain HTTP and under a name the browser sends no Sec-Fetch-Site.
    "--host-resolver-rules=MAP pizza.example 127.0.0.1",
)


def _run_service(
    servers: Servers, template: str, folder: Path, **variables: str
) -> Iterator[Service]:
    """An order service with a new database and virtual host, because queue names are fixed."""
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
def service(
    servers: Servers, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """An order service without staff keys, and one cook without dine-in orders."""
    folder = tmp_path_factory.mktemp("service")
    for running in _run_service(servers, _template, folder):
        flags = ["--mode=kitchen-worker", "--worker-name=chef_mario", "--cooking-time=0",
                 "--order-types=takeout,delivery"]  # fmt: skip
        where = {"DB_URL": running.db_url, "RABBITMQ": running.broker_url}
        cook = Program(folder, "cook", flags, where)
        try:
            cook.wait_for("worker_connected")
            yield running
        finally:
            cook.stop()


@pytest.fixture(scope="session")
def secured_service(
    servers: Servers, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """An order service with a staff key; it trusts a proxy on this machine."""
    folder = tmp_path_factory.mktemp("secured_service")
    variables = {"STAFF_KEY": "a-sound-key-of-the-staff", "TRUSTED_PROXIES": "127.0.0.1"}
    yield from _run_service(servers, _template, folder, **variables)


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    found = chromium.find_or_fetch()
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
def page(_chromium: Chrome) -> Iterator[PageDriver]:
    """The browser without cookies, at the size of a desk; fails on errors in its console."""
    driver = PageDriver(_chromium)
    yield driver
    driver.leave()
