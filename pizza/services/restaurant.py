"""The restaurant as an app of the framework, and the relay that any of its processes can run."""

from __future__ import annotations

from pizza.framework import App
from pizza.framework.middleware import timing
from pizza.framework.relay import Relay
from pizza.services.topology import TOPOLOGY
from pizza.settings import Settings


def make_app() -> App:
    """An app with the restaurant's topology and no tasks yet."""
    return App("pizza", topology=TOPOLOGY, middleware=[timing])


def start_relay(settings: Settings) -> Relay:
    """Start the thread that publishes the outbox; end it with `stop(timeout)`."""
    assert settings.db_url, "the command line insists on it"
    relay = Relay(make_app(), settings.db_url, settings.broker_url, name=settings.mode or "relay")
    relay.start()
    return relay
