"""Looks up credentials, and limits how many wrong ones a client may try.

Each HTTP worker counts on its own. A client with too many wrong credentials within a minute
receives 429 for each credential, right or wrong; none is looked up. Credentials that were accepted
from the same client within ACCEPTED_SECONDS still work, so that staff behind the same address as
an attacker can continue.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, TypeVar

from pizza.auth.authenticator import ANONYMOUS, AUTH_DISABLED, Authenticator, Principal
from pizza.domain.errors import InvalidCredential
from pizza.web.http.problems import Problem
from pizza.web.security.proxies import client_of
from pizza.web.security.rate_limits import MinuteLimit, rate_limit_problem

FAILURES_PER_MINUTE = 20
ACCEPTED_SECONDS = 600.0
_MAX_ACCEPTED = 10_000
_TOO_MANY_FAILURES = "Too many wrong keys or tokens were shown from here; try again in a minute."
_LOOKED_UP = "pizza.looked_up"

Found = TypeVar("Found")


class Credentials:
    """Looks up the credentials of this HTTP worker's requests. Thread-safe."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._failures = MinuteLimit(FAILURES_PER_MINUTE)
        self._lock = threading.Lock()
        # When each credential of a client was accepted last, oldest first.
        self._accepted: OrderedDict[bytes, float] = OrderedDict()

    def authenticate(self, environ: MutableMapping[str, Any], shown: str | None) -> Principal:
        """The principal of a credential in a WSGI request; looked up once for each request.

        Raises InvalidCredential, DatabaseUnavailable, Problem 429.
        """
        if shown is None:
            return self._authenticator.authenticate(None)
        known, found = environ.get(_LOOKED_UP, (None, None))
        if known != shown:
            try:
                found = self._find(environ, shown, self._authenticator.authenticate)
            except (InvalidCredential, Problem) as refusal:
                found = refusal
            environ[_LOOKED_UP] = (shown, found)
        if isinstance(found, Exception):
            raise found
        return found

    def authenticate_customer(self, environ: Mapping[str, Any], token: str) -> Principal:
        """The principal of a tracking token. Raises as `authenticate`."""
        return self._find(environ, token, self._authenticator.authenticate_tracking_token)

    def log_in(self, environ: Mapping[str, Any], key: str, *, source: str, agent: str) -> str:
        """Open a session for a browser that sends this key; return its cookie.

        Raises as `authenticate`.
        """
        look_up = partial(self._authenticator.log_in, source=source, agent=agent)
        return self._find(environ, key, look_up)

    def _find(
        self, environ: Mapping[str, Any], shown: str, look_up: Callable[[str], Found]
    ) -> Found:
        client = client_of(environ)
        if client is None:
            return look_up(shown)
        digest = hashlib.sha256(f"{client}\0{shown}".encode("utf-8", "surrogateescape")).digest()
        if not (self._is_accepted(digest) or self._failures.test(client)):
            raise rate_limit_problem(_TOO_MANY_FAILURES)
        try:
            found = look_up(shown)
        except InvalidCredential:
            self._failures.hit(client)
            raise
        if found not in (AUTH_DISABLED, ANONYMOUS):
            self._accept(digest)
        return found

    def _is_accepted(self, digest: bytes) -> bool:
        with self._lock:
            return self._accepted.get(digest, 0.0) > time.monotonic() - ACCEPTED_SECONDS

    def _accept(self, digest: bytes) -> None:
        with self._lock:
            self._accepted[digest] = time.monotonic()
            self._accepted.move_to_end(digest)
            if len(self._accepted) > _MAX_ACCEPTED:
                self._accepted.popitem(last=False)


def has_shown_key(environ: Mapping[str, Any]) -> bool:
    """Whether a staff key was found for a request; without another lookup."""
    _, found = environ.get(_LOOKED_UP, (None, None))
    return isinstance(found, Principal) and found.has_key
