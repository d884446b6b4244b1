"""The webhook worker (`--mode webhook-worker`): delivers webhooks, several at a time."""

from __future__ import annotations

import logging

from pizza.app import create_task_app
from pizza.config.settings import Settings
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.pool import WorkerPool
from pizza.topology import WEBHOOKS_QUEUE
from pizza.webhooks.delivery import delivery_tasks
from pizza.webhooks.webhooks import UrlPolicy

log = logging.getLogger(__name__)


def run_webhook_worker(settings: Settings) -> int:
    """Deliver until shutdown; returns the process's exit code."""
    assert settings.db_url, "the command line insists on it"
    app = create_task_app(settings)
    app.include(
        delivery_tasks(UrlPolicy(settings.webhook_schemes, settings.webhook_private_targets))
    )
    options = WorkerOptions(
        name=settings.worker_name or "webhooks",
        queues=[WEBHOOKS_QUEUE],
        grace=settings.shutdown_grace_period,
        lease=settings.lease_seconds,
        heartbeat=int(settings.heartbeat_seconds),
    )
    pool = WorkerPool(app, settings.db_url, settings.broker_url, options, settings.webhook_threads)
    log.info("Webhook worker started", extra={"action": "service_started"})
    pool.run()
    log.info("Webhook worker stopped", extra={"action": "service_stopped"})
    return 0
