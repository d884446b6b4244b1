"""Numbers in the documents are those of the code."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from pizza.config.settings import Settings
from pizza.domain.names import ADDRESS_MAX, ADDRESS_MIN, NAME_LENGTH
from pizza.domain.order import MAX_ITEMS
from pizza.processes.order_service import MAX_CONCURRENT
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.task import TIME_LIMIT_S
from pizza.web.http.request_body import MAX_BODY
from pizza.web.server import slow_clients

DOCS = Path(__file__).resolve().parents[2] / "docs"
DEFAULTS = Settings()
SENTENCES = [
    ("operator", f"try again after {Backoff.SHORTEST_S:g} to {Backoff.LONGEST_S:g} seconds"),
    ("operator", f"HISTORY_DAYS, {DEFAULTS.retention_days:g};"),
    ("operator", f"AUDIT_DAYS, {DEFAULTS.audit_days:g}, at least"),
    ("operator", f"`--webhook-threads` ({DEFAULTS.webhook_threads})"),
    ("operator", f"`--grace` ({DEFAULTS.shutdown_grace_period:g} s)"),
    ("personal-data", f"PERSONAL_DATA_DAYS, {DEFAULTS.personal_data_days:g};"),
    ("customer", f"1 to {NAME_LENGTH} characters; capitals"),
    ("customer", f"{ADDRESS_MIN} to {ADDRESS_MAX} characters"),
    ("customer", f"| `items` | 1 to {MAX_ITEMS}:"),
    ("manager", f"It is {MAX_CONCURRENT}, or `--max-concurrent`"),
    ("operations", f"{slow_clients.BODY_SECONDS:g} s for a body"),
    ("operations", f"{slow_clients.WAITING_PER_CLIENT} waiting bodies"),
    ("operations", f"all clients together {slow_clients.WAITING_IN_ALL}"),
    ("operations", f"{slow_clients.CONNECTIONS_PER_ADDRESS} of one address"),
    ("operations", f"Bodies of {MAX_BODY // 1024} kB"),
    ("tasks", f"{TIME_LIMIT_S / 60:g} minutes by default"),
]


@pytest.mark.parametrize(("page", "sentence"), SENTENCES)
def test_the_page_has_the_number_of_the_code(page: str, sentence: str) -> None:
    assert sentence in (DOCS / f"{page}.md").read_text()


def test_the_newest_release_of_the_changelog_is_the_package() -> None:
    setup = ConfigParser()
    setup.read(DOCS.parent / "setup.cfg")
    releases = re.findall(
        r"^## \[(\S+)\] - \d{4}-\d\d-\d\d$",
        (DOCS.parent / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )

    assert releases[0] == setup["metadata"]["version"]
