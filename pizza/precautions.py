"""What is not safe to run like that: a door that stands open, a password that everybody knows.

In development it is a warning, with `--env=production` it is refused. Looked at before a process
opens anything, so only what needs no database to be known.
"""

from __future__ import annotations

import dataclasses
import logging

from pizza import values
from pizza.database import address
from pizza.framework import broker_address
from pizza.settings import PRODUCTION, Settings, SettingsError

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_VERIFIED = "verify-full"
_ORDER_SERVICE = "order-service"
_CALLS_WEBHOOKS = (_ORDER_SERVICE, "webhook-worker")
_SET_A_KEY = "set STAFF_KEY, or STAFF_KEY_FILE to a file with a key on each line"


def take(settings: Settings) -> Settings:
    """Warn of what is not safe; gives the settings to run with, on another host if need be.

    Raises SettingsError for what production must not have.
    """
    check_database(settings)
    _check_broker(settings)
    _check_webhooks(settings)
    return _guard_the_door(settings) if settings.mode == _ORDER_SERVICE else settings


def check_database(settings: Settings) -> None:
    """In production a database elsewhere has to prove that it is the one that is meant.

    Raises SettingsError, unless the network between is said to be trusted: then it is a warning.
    """
    if settings.environment != PRODUCTION:
        return
    given = (("DB_URL", settings.db_url), ("DB_POOL_URL", settings.db_pool))
    for variable, url in given:
        if not url:
            continue
        host = next((each for each in address.hosts(url) if not _is_here(each)), None)
        mode = address.parameters(url).get("sslmode", "")
        if host is None or mode == _VERIFIED:
            continue
        if not settings.db_trusted_network:
            raise SettingsError(
                f"The database at {host} is asked for with sslmode={mode}, so another server could "
                f"take its place and read the password: give it sslmode={_VERIFIED} in {variable}, "
                "with sslrootcert, or say --db-trusted-network=yes."
            )
        log.warning(
            "The database at %s is asked for with sslmode=%s, and need not prove that it is the "
            "right one (--db-trusted-network=yes)",
            host, mode,
            extra={"action": "database_not_verified"},
        )  # fmt: skip


def _is_here(host: str) -> bool:
    """Whether a host of a database address is this machine: a socket, or a loopback address."""
    return host == "" or host[0] in "/@" or values.is_loopback(host)


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
