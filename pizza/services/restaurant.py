"""The restaurant as an app of the framework, and the relay that any of its processes can run."""

from __future__ import annotations

from datetime import timedelta

from pizza.database.connection import BoundedConnection
from pizza.framework import App, adoption, kept
from pizza.framework.middleware import timing
from pizza.framework.relay import Relay
from pizza.services import estimates
from pizza.services.topology import TOPOLOGY
from pizza.settings import Settings
from pizza.storage import doors, orders, stations

AGED_PRIORITY = 10
_AGEING, _ESTIMATES, _PACE, _FORGET, _FORGET_KEYS = 2.0, 2.0, 10.0, 600.0, 60.0
_LOOK_AFTER_QUEUES = 600.0


def make_app(settings: Settings | None = None) -> App:
    """An app with the restaurant's topology and chores, and no tasks yet."""
    app = App("pizza", topology=TOPOLOGY, middleware=[timing])
    app.every(_ESTIMATES, "estimates")(estimates.refresh)
    app.every(_PACE, "pace")(estimates.measure_pace)
    app.every(_FORGET, "adopted")(adoption.forget)
    app.every(_LOOK_AFTER_QUEUES, "kept queues")(kept.look_after)
    app.every(_FORGET_KEYS, "order keys")(orders.forget_keys)
    app.every(_FORGET_KEYS, "clients")(doors.forget_clients)
    if settings is not None and settings.ageing > 0:
        _age(app, settings.ageing)
    return app


def _age(app: App, patience: float) -> None:
    """Nobody is passed over for ever: who has waited so long is as urgent as a VIP."""
    rule = f"waited over {patience:g} s"

    @app.every(_AGEING, "ageing")
    def age_orders(conn: BoundedConnection) -> None:
        orders.age(
            conn, timedelta(seconds=patience), priority=AGED_PRIORITY, by="ageing", rule=rule
        )


def start_relay(settings: Settings) -> Relay:
    """Start the thread that publishes the outbox; end it with `stop(timeout)`."""
    assert settings.db_url, "the command line insists on it"
    relay = Relay(
        make_app(settings), settings.db_url, settings.broker_url, name=settings.mode or "relay"
    )
    relay.start()
    return relay


def open_restaurant(conn: BoundedConnection, settings: Settings) -> None:
    """Write what the order service decides for all processes: the cap and the line."""
    orders.set_capacity(conn, settings.max_concurrent or orders.UNLIMITED)
    stations.set_line(conn, settings.stations)
