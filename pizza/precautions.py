"""What is not safe to run like that: a door that stands open, a password that everybody knows.

In development it is a warning, with `--env=production` it is refused. Looked at before a process
opens anything, so only what needs no database to be known.
"""

from __future__ import annotations

import dataclasses
import logging

from pizza import broker_address, values
from pizza.settings import PRODUCTION, Settings, SettingsError

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_ORDER_SERVICE = "order-service"
_CALLS_WEBHOOKS = (_ORDER_SERVICE, "webhook-worker")
_SET_A_KEY = "set STAFF_KEY, or STAFF_KEY_FILE to a file with a key on each line"


def take(settings: Settings) -> Settings:
    """Warn of what is not safe; gives the settings to run with, on another host if need be.

    Raises SettingsError for what production must not have.
    """
    _check_broker(settings)
    _check_webhooks(settings)
    return _guard_the_door(settings) if settings.mode == _ORDER_SERVICE else settings


def _check_broker(settings: Settings) -> None:
    address = broker_address.parse(settings.broker_url)
    elsewhere = [name for name, _ in address.hosts if not values.is_loopback(name)]
    if (address.user, address.password) != ("guest", "guest") or not elsewhere:
        return
    if settings.environment == PRODUCTION:
        raise SettingsError(
            f"The broker at {elsewhere[0]} is asked for as guest, with the password guest, which "
            "everybody knows: give --rabbitmq-user and RABBITMQ_PASS."
        )
    log.warning(
        "The broker at %s is used as guest, with the password guest, which everybody knows: "
        "give --rabbitmq-user and RABBITMQ_PASS",
        elsewhere[0],
        extra={"action": "guest_at_broker"},
    )


def _check_webhooks(settings: Settings) -> None:
    """A house may have webhooks of its own network, so even production only hears of it."""
    allowed = settings.webhook_private_targets and settings.mode in _CALLS_WEBHOOKS
    if allowed and settings.environment == PRODUCTION:
        log.warning(
            "Webhooks may call this machine and its networks (--webhook-private-targets=yes): "
            "whoever has a staff key can have a service there called",
            extra={"action": "private_webhook_targets"},
        )


def _guard_the_door(settings: Settings) -> Settings:
    production = settings.environment == PRODUCTION
    if any(key.short for key in settings.keys):
        if production:
            raise SettingsError("A staff key of less than 16 characters can be guessed.")
        log.warning(
            "A staff key has less than 16 characters and can be guessed",
            extra={"action": "weak_staff_key"},
        )
    if settings.keys:
        return settings
    if production:
        raise SettingsError(f"In production the order service needs a staff key: {_SET_A_KEY}.")
    if values.is_loopback(settings.host):
        return settings  # said when it has started (pizza.web.serve)
    log.warning(
        "STAFF_KEY is not set: listening on %s only, not on %s as told; %s",
        LOOPBACK, settings.host, _SET_A_KEY,
        extra={"action": "doors_open"},
    )  # fmt: skip
    return dataclasses.replace(settings, host=LOOPBACK)
