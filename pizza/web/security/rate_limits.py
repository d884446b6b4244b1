"""Limits for each client: requests per minute, and open orders.

A client is an address (for IPv6 its /64 network; pizza.web.security.proxies). Staff with a key and
this machine are not limited. Each HTTP worker counts requests on its own, in memory, before they
are routed; the database counts open orders exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from pizza.auth.authenticator import Authenticator, Principal
from pizza.config.settings import Settings
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import InvalidCredential
from pizza.domain.order import ClientQuota
from pizza.web.security.authorization import credential_of
from pizza.web.security.credentials import Credentials
from pizza.web.security.minute_limit import MinuteLimit, rate_limit_problem
from pizza.web.security.proxies import client_of, network_of


class RateLimits:
    """The limits of one HTTP worker."""

    def __init__(
        self, settings: Settings, authenticator: Authenticator, credentials: Credentials
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._credentials = credentials
        self._requests = MinuteLimit(settings.rate_limit) if settings.rate_limit else None

    def check_rate(self, environ: MutableMapping[str, Any]) -> None:
        """Count a WSGI request for its client. Raises Problem 429.

        Also raises it if the client has sent too many wrong credentials and sends one more.
        """
        address = client_of(environ)
        if address is None or self._has_key(environ):
            return
        if self._requests is not None and not self._requests.hit(address):
            raise rate_limit_problem("Too many requests; try again in a minute.")

    def order_quota(self, environ: Mapping[str, Any], principal: Principal) -> ClientQuota | None:
        """The quota of open orders that applies to POST /orders; None if it is not limited."""
        if principal.has_key:
            return None
        address = client_of(environ)
        limit = self._settings.client_order_limit
        if address is None or limit == 0:
            return None
        return ClientQuota(
            self._authenticator.hash_address(address),
            limit,
            network_hash=self._authenticator.hash_address(network_of(address)),
        )

    def stream_client(self, environ: MutableMapping[str, Any]) -> str | None:
        """The client that opens a stream; None for staff with a key and for this machine."""
        return None if self._has_key(environ) else client_of(environ)

    def _has_key(self, environ: MutableMapping[str, Any]) -> bool:
        shown = credential_of(environ)
        try:
            return shown is not None and self._credentials.authenticate(environ, shown).has_key
        except (InvalidCredential, DatabaseUnavailable):
            return False
