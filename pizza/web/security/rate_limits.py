"""How much of the service one client may have: requests a minute, and places in the kitchen.

A client is an address (of IPv6 its /64, which one house has; pizza.web.proxies). Staff that shows a
key, and this machine itself, are not limited. Requests are counted in each HTTP worker by itself,
in memory, before their address is looked at; the places by the database, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from pizza.auth.authenticator import Caller, Doors
from pizza.config.settings import Settings
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import InvalidCredential
from pizza.domain.order import Client
from pizza.web.security.authorization import credential
from pizza.web.security.credentials import Credentials
from pizza.web.security.minute_limit import MinuteLimit, too_many
from pizza.web.security.proxies import client_of, network_of


class RateLimits:
    """The limits of one HTTP worker."""

    def __init__(self, settings: Settings, doors: Doors, credentials: Credentials) -> None:
        self._settings = settings
        self._doors = doors
        self._credentials = credentials
        self._requests = MinuteLimit(settings.rate_limit) if settings.rate_limit else None

    def count(self, environ: MutableMapping[str, Any]) -> None:
        """Count a WSGI request for its client. Raises Problem 429.

        Also 429 when the client has shown too many wrong credentials and shows one more.
        """
        address = client_of(environ)
        if address is None or self._shows_key(environ):
            return
        if self._requests is not None and not self._requests.hit(address):
            raise too_many("Too many requests; try again in a minute.")

    def order(self, environ: Mapping[str, Any], guest: Caller) -> Client | None:
        """Whose places a request that places an order takes; None if it is not limited."""
        if guest.key:
            return None
        address = client_of(environ)
        places = self._settings.client_order_limit
        if address is None or places == 0:
            return None
        return Client(
            self._doors.mark(address), places, network=self._doors.mark(network_of(address))
        )

    def stream_client(self, environ: MutableMapping[str, Any]) -> str | None:
        """Whose stream a request asks for; None for staff with a key, and for this machine."""
        return None if self._shows_key(environ) else client_of(environ)

    def _shows_key(self, environ: MutableMapping[str, Any]) -> bool:
        shown = credential(environ)
        try:
            return shown is not None and self._credentials.caller(environ, shown).key
        except (InvalidCredential, DatabaseUnavailable):
            return False
