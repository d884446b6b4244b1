"""A harness for each test, on the servers of the session, which run again when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devservices import Postgres, RabbitMQ

from ..support.taskqueue.worker_process import Harness


@pytest.fixture
def harness(
    request: pytest.FixtureRequest,
    postgres: Postgres,
    rabbitmq: RabbitMQ,
    db_url: str,
    broker_url: str,
    tmp_path: Path,
) -> Iterator[Harness]:
    """Empty servers; stopped or paused ones run again after the test."""
    harness = Harness(db_url, broker_url, tmp_path)
    yield harness
    if getattr(request.node, "failed", False):
        harness.show_logs()
    for server in (postgres, rabbitmq):
        server.resume()
        if not server.process.running:
            server.start()
    harness.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Record on the test item whether it failed."""
    report = yield
    if report.failed:
        item.failed = True  # type: ignore[attr-defined]
    return report
