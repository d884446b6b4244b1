"""The restaurant as an app of the framework, and the relay that any of its processes can run."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from pizza.audit import storage as audit
from pizza.auth import keys
from pizza.auth import storage as auth
from pizza.config.settings import Settings
from pizza.customers import personal_data
from pizza.database.connection import BoundedConnection
from pizza.kitchen import estimates
from pizza.operations import fold_names, retention_storage
from pizza.orders import storage as orders
from pizza.taskqueue import App
from pizza.taskqueue.middleware import timing
from pizza.taskqueue.outbox.relay import Relay
from pizza.topology import TOPOLOGY

AGED_PRIORITY = 10
_AUDIT_SLICE = 500
# Seconds between runs of periodic tasks.
_AGING, _ESTIMATES, _COOKING_TIMES, _PRUNING, _NAMES = 2.0, 2.0, 10.0, 5.0, 5.0


def create_task_app(settings: Settings | None = None) -> App:
    """An app with the restaurant's topology and periodic tasks, and no other tasks yet.

    settings: how long orders wait, and data is kept; None: no task for that.
    """
    app = App("pizza", topology=TOPOLOGY, middleware=[timing])
    app.periodic(_ESTIMATES, "estimates")(estimates.refresh_estimates)
    app.periodic(_COOKING_TIMES, "pace")(estimates.measure_cooking_times)
    app.periodic(_NAMES, "names")(fold_names)
    app.periodic(_PRUNING, "order keys")(orders.prune_idempotency_keys)
    app.periodic(_PRUNING, "clients")(auth.ClientRetention().run)
    app.periodic(_PRUNING, "sessions")(auth.prune_sessions)
    app.periodic(_PRUNING, "keys")(keys.disable_void_webhooks)
    if settings is None:
        return app
    if settings.audit_days > 0:
        keep = timedelta(settings.audit_days)
        prune = partial(audit.prune_entries, keep=keep, limit=_AUDIT_SLICE)
        app.periodic(_PRUNING, "audit log")(prune)
    if settings.priority_aging > 0:
        app.periodic(_AGING, "ageing")(partial(_promote_aged, seconds=settings.priority_aging))
    if settings.retention_days > 0:
        keep = timedelta(settings.retention_days)
        app.periodic(_PRUNING, "history")(partial(retention_storage.prune_history, keep=keep))
    if settings.personal_data_days > 0:
        keep = timedelta(settings.personal_data_days)
        app.periodic(_PRUNING, "personal data")(partial(personal_data.erase_expired, keep=keep))
    return app


def _promote_aged(conn: BoundedConnection, seconds: float) -> None:
    """Give orders that have waited so long the priority of a VIP."""
    rule = f"waited over {seconds:g} s"
    max_wait = timedelta(seconds=seconds)
    orders.promote_aged(conn, max_wait, priority=AGED_PRIORITY, by="ageing", rule=rule)


def start_relay(settings: Settings) -> Relay:
    """Start the thread that publishes the outbox; end it with `stop(timeout)`."""
    assert settings.db_url, "the command line insists on it"
    app, name = create_task_app(settings), settings.mode or "relay"
    relay = Relay(app, settings.db_url, settings.broker_url, name=name)
    relay.start()
    return relay
