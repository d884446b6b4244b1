"""The restaurant as an app of the framework, and the relay that any of its processes can run."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from pizza.audit import storage as audit
from pizza.auth import keys, session_storage
from pizza.auth import storage as doors
from pizza.config.settings import Settings
from pizza.customers import personal_data
from pizza.database.connection import BoundedConnection
from pizza.kitchen import estimates
from pizza.operations import retention_storage
from pizza.operations.name_keys import fold_names
from pizza.orders import storage as orders
from pizza.taskqueue import App
from pizza.taskqueue.middleware import timing
from pizza.taskqueue.outbox.relay import Relay
from pizza.topology import TOPOLOGY

AGED_PRIORITY = 10
_AUDIT_SLICE = 500
_AGEING, _ESTIMATES, _PACE, _FORGET, _NAMES = 2.0, 2.0, 10.0, 5.0, 5.0


def make_app(settings: Settings | None = None) -> App:
    """An app with the restaurant's topology and periodic tasks, and no other tasks yet."""
    app = App("pizza", topology=TOPOLOGY, middleware=[timing])
    app.periodic(_ESTIMATES, "estimates")(estimates.refresh_estimates)
    app.periodic(_PACE, "pace")(estimates.measure_cooking_times)
    app.periodic(_NAMES, "names")(fold_names)
    app.periodic(_FORGET, "order keys")(orders.prune_idempotency_keys)
    app.periodic(_FORGET, "clients")(doors.ClientRetention().run)
    app.periodic(_FORGET, "sessions")(session_storage.prune_sessions)
    app.periodic(_FORGET, "keys")(keys.disable_void_webhooks)
    if settings is not None and settings.audit_days > 0:
        app.periodic(_FORGET, "audit log")(
            partial(audit.prune_entries, keep=timedelta(settings.audit_days), limit=_AUDIT_SLICE)
        )
    if settings is not None and settings.priority_aging > 0:
        _age(app, settings.priority_aging)
    if settings is not None and settings.retention_days > 0:
        _forget(app, timedelta(days=settings.retention_days))
    if settings is not None and settings.personal_data_days > 0:
        _forget_customers(app, timedelta(days=settings.personal_data_days))
    return app


def _age(app: App, patience: float) -> None:
    """Nobody is passed over for ever: who has waited so long is as urgent as a VIP."""
    rule = f"waited over {patience:g} s"

    @app.periodic(_AGEING, "ageing")
    def age_orders(conn: BoundedConnection) -> None:
        orders.promote_aged(
            conn, timedelta(seconds=patience), priority=AGED_PRIORITY, by="ageing", rule=rule
        )


def _forget(app: App, keep: timedelta) -> None:
    """What was heard of orders is not kept for ever; the orders are."""

    @app.periodic(_FORGET, "history")
    def forget_history(conn: BoundedConnection) -> None:
        retention_storage.prune_history(conn, keep)


def _forget_customers(app: App, keep: timedelta) -> None:
    """Orders are kept, and those who ordered are not: personal data has a time."""

    @app.periodic(_FORGET, "personal data")
    def forget_customers(conn: BoundedConnection) -> None:
        personal_data.forget(conn, keep)


def start_relay(settings: Settings) -> Relay:
    """Start the thread that publishes the outbox; end it with `stop(timeout)`."""
    assert settings.db_url, "the command line insists on it"
    relay = Relay(
        make_app(settings), settings.db_url, settings.broker_url, name=settings.mode or "relay"
    )
    relay.start()
    return relay
