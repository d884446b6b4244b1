"""The settings decide which addresses a webhook worker may call."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from pizza.config.settings import Settings, load
from pizza.processes import webhook_worker
from pizza.taskqueue import App
from pizza.taskqueue.errors import PoisonMessage
from pizza.webhooks import delivery
from pizza.webhooks.webhooks import UrlPolicy

HERE = {"WEBHOOK_PRIVATE_TARGETS": "yes", "WEBHOOK_SCHEMES": "https,http"}


class FakePool:
    """Records its arguments, and ends at once."""

    app: App
    size: int

    def __init__(self, app: App, _db: str, _broker: str, options: Any, size: int) -> None:
        type(self).app, type(self).size = app, size
        assert options.queues == ["webhooks_queue"]

    def run(self) -> None:
        pass


@pytest.mark.parametrize(
    ("environ", "policy"),
    [
        ({}, UrlPolicy(("https",), allow_private=False)),
        (HERE, UrlPolicy(("https", "http"), allow_private=True)),
    ],
)
def test_private_targets_and_http_have_to_be_allowed(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], policy: UrlPolicy
) -> None:
    used = []
    delivery_tasks = webhook_worker.delivery_tasks
    monkeypatch.setattr(
        webhook_worker, "delivery_tasks", lambda p: used.append(p) or delivery_tasks(p)
    )
    monkeypatch.setattr(webhook_worker, "WorkerPool", FakePool)
    settings = load(
        {}, {"DB_URL": "postgres://localhost/x", "WEBHOOK_THREADS": "3", **environ}, None
    )
    assert webhook_worker.run_webhook_worker(settings) == 0
    assert used == [policy]
    assert FakePool.size == 3 and "deliver_webhook" in FakePool.app.tasks
    assert Settings().webhook_private_targets is False


@pytest.mark.parametrize("body", [None, [], {}, {"delivery": 7}, {"delivery": "x"}, "x"])
def test_a_message_that_names_no_delivery_is_poison(body: Any) -> None:
    with pytest.raises(PoisonMessage):
        delivery.parse_delivery_id(body)
    one = uuid4()
    assert delivery.parse_delivery_id({"delivery": str(one)}) == one
