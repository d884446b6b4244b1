"""How much of the service one client may have: requests a minute, and places in the kitchen.

A client is an address, or the /64 network of an IPv6 address (pizza.web.security.proxies). Staff
with a key, and this machine, are not limited. Requests are counted in each HTTP worker by itself,
in memory, before their address is looked at; the places by the database, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from pizza.auth.authenticator import Caller, Doors
from pizza.config.settings import Settings
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import CredentialUnknown
from pizza.domain.order import Client
from pizza.web.http.problems import Problem
from pizza.web.security.authorization import credential
from pizza.web.security.credentials import Credentials
from pizza.web.security.proxies import client_of, network_of

_RETRY_SECONDS = 60


class Limits:
    """The limits of one HTTP worker."""

    def __init__(self, settings: Settings, doors: Doors, credentials: Credentials) -> None:
        self._settings = settings
        self._doors = doors
        self._credentials = credentials
        per_minute = settings.rate_limit
        self._requests = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, environ: MutableMapping[str, Any]) -> None:
        """Count a WSGI request for its client. Raises Problem 429.

        Also 429 when the client has shown too many wrong credentials and shows one more.
        """
        address = client_of(environ)
        if address is None or self._shows_key(environ):
            return
        if self._requests is not None and not self._limiter.hit(self._requests, address):
            raise too_many()

    def order(self, environ: Mapping[str, Any], guest: Caller) -> Client | None:
        """Whose places a request that places an order takes; None if it is not limited."""
        if guest.key:
            return None
        address = client_of(environ)
        places = self._settings.client_places
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
        except (CredentialUnknown, DatabaseUnavailable):
            return False


def too_many() -> Problem:
    """The answer to a client that sends too many requests."""
    return Problem(
        429, "Too many requests; try again in a minute.",
        headers=(("Retry-After", str(_RETRY_SECONDS)),),
    )  # fmt: skip
