"""Checks for unsafe settings, such as no authentication or a default password.

In development they log a warning, with `--env=production` they refuse to start. They run before a
process opens a connection, so they read the settings only.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
from collections.abc import Sequence

from pizza.config import parsers
from pizza.config.settings import PRODUCTION, Settings, SettingsError
from pizza.config.weak_secrets import is_placeholder, is_well_known
from pizza.database import address
from pizza.taskqueue.broker import address as broker_address
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_VERIFIED = "verify-full"
_ORDER_SERVICE = "order-service"
_CALLS_WEBHOOKS = (_ORDER_SERVICE, "webhook-worker")
_RANDOM = "such as the output of openssl rand -hex 20"
# By IP version: the shortest prefixes of providers of proxies are /10 and /29.
_WIDEST = {4: 10, 6: 24}
# The private, loopback and link-local networks that are wider than that.
_WIDE_PRIVATE = ("10.0.0.0/8", "127.0.0.0/8", "fc00::/7", "fe80::/10")
_SET_A_KEY = "set STAFF_KEY, or STAFF_KEY_FILE to a file with a key on each line"


def check_deployment(settings: Settings) -> Settings:
    """Warn of unsafe settings; returns the settings to run with, perhaps with another host.

    Raises SettingsError for settings that production refuses.
    """
    check_database(settings)
    _check_broker(settings)
    _check_webhooks(settings)
    if settings.mode != _ORDER_SERVICE:
        return settings
    _check_limits(settings)
    _check_proxies(settings)
    return _check_exposed_without_auth(settings)


def check_database(settings: Settings) -> None:
    """In production require that TLS verifies a database on another machine.

    Raises SettingsError, or logs a warning with --db-trusted-network=yes.
    """
    if settings.env != PRODUCTION:
        return
    for variable, url in (("DB_URL", settings.db_url), ("DB_POOL_URL", settings.db_pool)):
        if not url:
            continue
        given = address.parameters(url)
        elsewhere = [host for host in address.hosts(url) if not _is_here(host)]
        what = f"The password of the database in {variable}"
        _refuse_password(given.get("password", ""), given.get("user", ""), elsewhere, what)
        mode = given.get("sslmode", "")
        if not elsewhere or mode == _VERIFIED:
            continue
        host = elsewhere[0]
        if not settings.db_trusted_network:
            raise SettingsError(
                f"The database at {host} is asked for with sslmode={mode}, so another server could "
                f"take its place and read the password: give it sslmode={_VERIFIED} in {variable}, "
                "with sslrootcert, or say --db-trusted-network=yes."
            )
        text = (
            f"The database at {host} is asked for with sslmode={mode}, and need not prove that it "
            "is the right one (--db-trusted-network=yes)"
        )
        log_action(log.warning, "database_not_verified", text)


def _refuse_password(password: str, user: str, elsewhere: Sequence[str], what: str) -> None:
    """Refuse an example's password, and for a server elsewhere also a well-known one.

    Raises SettingsError. An empty password means another method of authentication.
    """
    if not password:
        return
    if is_placeholder(password):
        raise SettingsError(f"{what} is still the one of the example: set one, {_RANDOM}.")
    if elsewhere and is_well_known(password, user):
        raise SettingsError(
            f"{what} is one of the first that anybody tries at {elsewhere[0]}: set another, "
            f"{_RANDOM}."
        )


def _is_here(host: str) -> bool:
    """Whether a host of a database address is a local socket or a loopback address."""
    return host == "" or host[0] in "/@" or parsers.is_loopback(host)


def _check_broker(settings: Settings) -> None:
    address = broker_address.parse(settings.broker_url)
    elsewhere = [name for name, _ in address.hosts if not parsers.is_loopback(name)]
    is_guest = (address.user, address.password) == ("guest", "guest")
    if settings.env == PRODUCTION and not is_guest:
        _refuse_password(address.password, address.user, elsewhere, "The password of RabbitMQ")
    if not is_guest or not elsewhere:
        return
    if settings.env == PRODUCTION:
        raise SettingsError(
            f"The broker at {elsewhere[0]} is asked for as guest, with the password guest, which "
            "everybody knows: give --rabbitmq-user and RABBITMQ_PASS."
        )
    text = (
        f"The broker at {elsewhere[0]} is used as guest, with the password guest, which everybody "
        "knows: give --rabbitmq-user and RABBITMQ_PASS"
    )
    log_action(log.warning, "default_broker_account", text)


def _check_webhooks(settings: Settings) -> None:
    """Webhooks in the own network can be intended, so production only logs a warning."""
    allowed = settings.webhook_private_targets and settings.mode in _CALLS_WEBHOOKS
    if allowed and settings.env == PRODUCTION:
        text = (
            "Webhooks may call this machine and its networks (--webhook-private-targets=yes): "
            "anyone with a staff key can make a service there receive requests"
        )
        log_action(log.warning, "private_webhook_targets", text)


def _check_limits(settings: Settings) -> None:
    if settings.rate_limit == 0 and settings.env == PRODUCTION:
        raise SettingsError(
            "Without a limit of requests (--rate-limit=0) anybody may try keys as often as they "
            "like: give --rate-limit a number of requests a minute, such as 600."
        )


def _check_proxies(settings: Settings) -> None:
    """A trusted proxy names the client of a request, so most of the internet must not be one."""
    for network in settings.trusted_proxies:
        if not _is_too_wide(network):
            continue
        if settings.env == PRODUCTION:
            raise SettingsError(
                f"--trusted-proxies={network} trusts addresses all over the internet, each of "
                "which could pass for any client: name the addresses of your proxies alone."
            )
        text = (
            f"--trusted-proxies={network} trusts addresses all over the internet: name the "
            "addresses of your proxies alone"
        )
        log_action(log.warning, "proxies_too_wide", text)


def _is_too_wide(network: parsers.Network) -> bool:
    """Whether a network is public, and larger than any provider's."""
    return network.prefixlen < _WIDEST[network.version] and not any(
        private.version == network.version and network.subnet_of(private)  # type: ignore[arg-type]
        for private in map(ipaddress.ip_network, _WIDE_PRIVATE)
    )


def _check_exposed_without_auth(settings: Settings) -> Settings:
    production = settings.env == PRODUCTION
    if weak := next((key.weakness for key in settings.keys if key.weakness), ""):
        if production:
            raise SettingsError(f"A staff key {weak}, and can be guessed: set one, {_RANDOM}.")
        log.warning("A staff key %s, and can be guessed", weak, extra={"action": "weak_staff_key"})
    if settings.keys:
        return settings
    if production:
        raise SettingsError(f"In production the order service needs a staff key: {_SET_A_KEY}.")
    if parsers.is_loopback(settings.host):
        return settings  # pizza.web.server.serve logs it after the start
    text = f"STAFF_KEY is not set: listening on {LOOPBACK} only, not on {settings.host}"
    log_action(log.warning, "auth_disabled", f"{text}; {_SET_A_KEY}")
    return dataclasses.replace(settings, host=LOOPBACK)
