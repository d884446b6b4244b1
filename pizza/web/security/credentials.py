"""Looks credentials up, and limits how many wrong ones a client may try.

Counted in each HTTP worker by itself. A client that has shown too many wrong credentials within a
minute gets 429 for each one that it shows, right or wrong; nothing is looked up. Credentials that
were accepted from the same client a short time ago go on: staff behind the same address as
somebody who guesses keeps working.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TypeVar

from pizza.auth.authenticator import ANYBODY, OPEN, Caller, Doors
from pizza.domain.errors import InvalidCredential
from pizza.web.http.problems import Problem
from pizza.web.security.minute_limit import MinuteLimit, too_many
from pizza.web.security.proxies import client_of

FAILURES_PER_MINUTE = 20
ACCEPTED_SECONDS = 600.0
_MAX_ACCEPTED = 10_000
_TOO_MANY = "Too many wrong keys or tokens were shown from here; try again in a minute."
_LOOKED_UP = "pizza.looked_up"

Found = TypeVar("Found")


class Credentials:
    """The credentials of this HTTP worker's requests. Thread-safe."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._failures = MinuteLimit(FAILURES_PER_MINUTE)
        self._lock = threading.Lock()
        # When each credential of a client was accepted last, the oldest first.
        self._accepted: OrderedDict[bytes, float] = OrderedDict()

    def caller(self, environ: MutableMapping[str, Any], shown: str | None) -> Caller:
        """Who shows this in a WSGI request; looked up once for each request.

        Raises InvalidCredential, DatabaseUnavailable, Problem 429.
        """
        if shown is None:
            return self._doors.caller(None)
        if (known := environ.get(_LOOKED_UP)) is not None and known[0] == shown:
            if isinstance(known[1], Exception):
                raise known[1]
            found: Caller = known[1]
            return found
        try:
            found = self._look_up(environ, shown, self._doors.caller)
        except (InvalidCredential, Problem) as refusal:
            environ[_LOOKED_UP] = (shown, refusal)
            raise
        environ[_LOOKED_UP] = (shown, found)
        return found

    def customer(self, environ: Mapping[str, Any], token: str) -> Caller:
        """The customer of a tracking token. Raises as `caller`."""
        return self._look_up(environ, token, self._doors.customer)

    def log_in(self, environ: Mapping[str, Any], key: str, *, source: str, agent: str) -> str:
        """The cookie of a new session for a browser that shows this key (`Doors.log_in`).

        Raises as `caller`.
        """
        return self._look_up(
            environ, key, lambda shown: self._doors.log_in(shown, source=source, agent=agent)
        )

    def _look_up(
        self, environ: Mapping[str, Any], shown: str, look_up: Callable[[str], Found]
    ) -> Found:
        client = client_of(environ)
        if client is None:
            return look_up(shown)
        mark = hashlib.sha256(f"{client}\0{shown}".encode("utf-8", "surrogateescape")).digest()
        if not (self._is_accepted(mark) or self._failures.test(client)):
            raise too_many(_TOO_MANY)
        try:
            found = look_up(shown)
        except InvalidCredential:
            self._failures.hit(client)
            raise
        if found not in (OPEN, ANYBODY):
            self._accept(mark)
        return found

    def _is_accepted(self, mark: bytes) -> bool:
        with self._lock:
            return self._accepted.get(mark, 0.0) > time.monotonic() - ACCEPTED_SECONDS

    def _accept(self, mark: bytes) -> None:
        with self._lock:
            self._accepted[mark] = time.monotonic()
            self._accepted.move_to_end(mark)
            if len(self._accepted) > _MAX_ACCEPTED:
                self._accepted.popitem(last=False)


def shows_key(environ: Mapping[str, Any]) -> bool:
    """Whether a request has shown a staff key; only what was looked up before counts."""
    known = environ.get(_LOOKED_UP)
    return known is not None and isinstance(known[1], Caller) and known[1].key
