"""How much of the service one client may have: requests a minute, and places in the kitchen.

A client is an address (of IPv6 its /64, which one house has; pizza.web.proxies). Staff that shows a
key, and this machine itself, are not limited. Requests are counted in each HTTP worker by itself,
in memory; the places by the database, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request
from flask_limiter import Limiter, RateLimitExceeded
from limits import RateLimitItemPerMinute

from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import CredentialUnknown
from pizza.domain.order import Client
from pizza.services.doors import Caller, Doors
from pizza.settings import Settings
from pizza.web.errors import Problem, respond
from pizza.web.gate import credential
from pizza.web.proxies import client_of

_RETRY_SECONDS = 60
_ORDERS = "orders"


class Limits:
    """The limits of one HTTP worker."""

    def __init__(self, settings: Settings, doors: Doors) -> None:
        self._settings = settings
        self._doors = doors
        self._per_minute = settings.rate_limit
        self._limiter = Limiter(
            key_func=lambda: client_of(request.environ) or "",
            application_limits=[f"{self._per_minute}/minute"] if self._per_minute else [],
            storage_uri="memory://",
            strategy="fixed-window",
        )

    def install(self, app: Flask) -> None:
        """Count every request that Flask answers."""
        self._limiter.init_app(app)
        self._limiter.request_filter(self._exempt)
        app.register_error_handler(RateLimitExceeded, _exceeded)

    def order(self, environ: Mapping[str, Any], guest: Caller) -> Client | None:
        """Count a request that places an order; gives whose place it is, None for nobody's.

        Raises Problem 429. Asks the database for nothing that was not asked before.
        """
        if guest.key:
            return None
        address = client_of(environ)
        if address is None:
            return None
        if self._per_minute and not self._limiter.limiter.hit(
            RateLimitItemPerMinute(self._per_minute), _ORDERS, address
        ):
            raise too_many()
        places = self._settings.client_places
        return None if places == 0 else Client(self._doors.mark(address), places)

    def stream_client(self, environ: Mapping[str, Any]) -> str | None:
        """Whose stream a request asks for; None for staff with a key, and for this machine."""
        return None if self._shows_key(environ) else client_of(environ)

    def _exempt(self) -> bool:
        if client_of(request.environ) is None:
            return True
        return self._shows_key(request.environ)

    def _shows_key(self, environ: Mapping[str, Any]) -> bool:
        shown = credential(environ)
        try:
            return shown is not None and self._doors.caller(shown).key
        except (CredentialUnknown, DatabaseUnavailable):
            return False


def too_many() -> Problem:
    """The answer to one who asks too often."""
    return Problem(
        429, "Too many requests; try again in a minute.",
        headers=(("Retry-After", str(_RETRY_SECONDS)),),
    )  # fmt: skip


def _exceeded(_: RateLimitExceeded) -> Response:
    return respond(too_many())
