"""A stage for each test, on the session's servers, which are there again when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devservices import Postgres, RabbitMQ

from ..support.taskqueue.worker_process import Harness


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    postgres: Postgres,
    rabbitmq: RabbitMQ,
    db_url: str,
    broker_url: str,
    tmp_path: Path,
) -> Iterator[Harness]:
    """Servers with nothing on them; whatever a test does to them is undone."""
    stage = Harness(db_url, broker_url, tmp_path)
    yield stage
    if getattr(request.node, "failed", False):
        stage.show_logs()
    for server in (postgres, rabbitmq):
        server.resume()
        if not server.process.running:
            server.start()
    stage.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Leave on the test whether it failed."""
    report = yield
    if report.failed:
        item.failed = True  # type: ignore[attr-defined]
    return report
