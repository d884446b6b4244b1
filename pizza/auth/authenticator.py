"""Who may do what: the staff's keys, and the token by which a customer reaches an order.

The doors are closed, so that staff has to show a key, when the environment has one or the table
`staff_key` has a row, be it a revoked one. Otherwise everybody is a manager, as the specification
has it. Once closed they stay closed until the service is restarted, even if the rows are deleted.
A tracking token is the order's number and a keyed hash of its number and id: nothing is stored for
it, and nobody without the house's secret can make one. A browser that has shown a key has a session
(pizza.auth.sessions), which counts as long as that key does.
"""

from __future__ import annotations

import hmac
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from threading import Event
from typing import Any, Protocol
from uuid import UUID

import psycopg

from pizza.auth import session_storage, sessions, storage
from pizza.auth.keys import ENVIRONMENT, add_key, digest, environment_id, list_keys, revoke_key
from pizza.auth.principal import ANYBODY, OPEN, Caller
from pizza.auth.storage import ActiveKey, ActiveSession, Locks
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import InvalidCredential
from pizza.domain.roles import MANAGER

__all__ = [
    "ANYBODY", "OPEN", "Caller", "Doors", "add_key", "list_keys", "revoke_key",
]  # fmt: skip

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

# A key that is revoked is good for so long, at most.
_FRESH_SECONDS = 1.0
# A key that is not known is looked for again, unless it was looked for so short a time ago.
_MOMENT_SECONDS = 0.1
_PREFIX = "ORD_"
_TOKEN = re.compile(r"([0-9]{8}_[0-9]{3,8})\.[0-9a-f]{40}")
_SESSION = re.compile(r"s\.([0-9a-f]{40})\.([0-9a-f]{20})")


class Flag(Protocol):
    """What threading.Event can do: set once, by any thread or process."""

    def is_set(self) -> bool:
        """Whether it has been set."""

    def set(self) -> None:
        """Set it."""


class Doors:
    """What a process knows of the keys: at most a second old, while the database answers."""

    def __init__(
        self,
        connection: Callable[[], AbstractContextManager[Connection]],
        digests: Iterable[bytes] = (),
        required: Flag | None = None,
        *,
        idle_seconds: float = sessions.IDLE_SECONDS,
    ) -> None:
        """connection: lends one; digests: SHA-256 of the keys of the environment.

        required: set as soon as there is a key, and never reset; idle_seconds: after so long
        without a request or an open stream a session ends.
        """
        self._required = Event() if required is None else required
        self._warned = False
        self._connection = connection
        self._digests = tuple(
            ActiveKey(environment_id(each), ENVIRONMENT, MANAGER, each) for each in digests
        )
        self._idle = timedelta(seconds=idle_seconds)
        self._uses = sessions.UseRecorder(connection, self._idle)
        self._seen: Locks | None = None
        self._seen_at = float("-inf")
        self._looking = threading.Lock()

    def closed(self) -> bool:
        """Whether staff has to show a key. Raises DatabaseUnavailable while that is not known."""
        return bool(self._digests) or self._required.is_set() or self._look().fitted

    def caller(self, credential: str | None) -> Caller:
        """Who shows this key, token or session; a session that is over is as good as nothing.

        Raises InvalidCredential, DatabaseUnavailable.
        """
        if not self.closed():
            return OPEN
        if credential is None:
            return ANYBODY
        if looks_like_session(credential):
            return self._of_session(credential) or ANYBODY
        if number := self._number_of(credential):
            return Caller(number=number)
        return self._of_key(credential)

    def still(self, credential: str | None) -> Caller:
        """The same by what this process knows already, without a statement: see `refresh`.

        ANYBODY for what no longer counts. The token of an order is not looked at: it has no end.
        """
        if not self._digests and not self._required.is_set() and not self._known().fitted:
            return OPEN
        if credential is None:
            return ANYBODY
        if looks_like_session(credential):
            found = self._session(sessions.session_id(credential))
            return self._caller_of(found) or ANYBODY
        if parts := _TOKEN.fullmatch(credential):
            return Caller(number=_PREFIX + parts[1])
        key = self._key(credential)
        return self._used(key) if key else ANYBODY

    def refresh(self, seconds: float) -> None:
        """Look again if the last look is older than `seconds`. Without an answer all stays."""
        with suppress(DatabaseUnavailable):
            self._look(seconds)

    def customer(self, token: str) -> Caller:
        """The customer of a tracking token, whether the doors are open or not.

        Raises InvalidCredential, DatabaseUnavailable.
        """
        number = self._number_of(token)
        if number is None:
            raise InvalidCredential
        return Caller(number=number)

    def log_in(self, key: str, *, source: str, agent: str) -> str:
        """Begin a session for a browser that shows this key; returns its cookie.

        source: the client's address; agent: its User-Agent. Raises InvalidCredential,
        DatabaseUnavailable.
        """
        caller = self._of_key(key)
        random = sessions.new_cookie()
        cookie = f"s.{random}.{self._session_mark(random)}"
        with self._connection() as conn:
            sessions.begin(conn, cookie, caller.actor(source), idle=self._idle, agent=agent)
        return cookie

    def log_out(self, cookie: str, *, source: str) -> None:
        """End the session of a cookie, if it is one. Raises DatabaseUnavailable."""
        if not self._is_ours(cookie):
            return
        caller = self._of_session(cookie)
        with self._connection() as conn:
            sessions.log_out(conn, cookie, (caller or ANYBODY).actor(source))
        self._seen_at = float("-inf")

    def token(self, number: str, order_id: UUID) -> str:
        """The tracking token of an order: always the same one.

        It is bound to the order's id: after a database is restored, an order that gets a number
        again gets another token.
        """
        mark = self._mark(b"track", f"{number} {order_id}")
        return f"{number.removeprefix(_PREFIX)}.{mark[:20].hex()}"

    def mark(self, address: str) -> bytes:
        """A client's address as it may be stored: nobody without the secret can find it again."""
        return self._mark(b"client", address)[:16]

    def prepare(self) -> None:
        """Learn the secret, so that `token` and `mark` need no database. DatabaseUnavailable."""
        if self._seen is None:
            self._look()

    def _number_of(self, token: str) -> str | None:
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        number = _PREFIX + parts[1]
        self._look()
        with self._connection() as conn:
            order_id = storage.order_id(conn, number)
        if order_id is None or not hmac.compare_digest(token, self.token(number, order_id)):
            return None
        return number

    def _of_key(self, credential: str) -> Caller:
        try:
            self._look()
        except DatabaseUnavailable:
            if not self._digests:
                raise
        key = self._key(credential)
        if key is None:
            # It may have been made a moment ago.
            with suppress(DatabaseUnavailable):
                self._look(_MOMENT_SECONDS)
            key = self._key(credential)
        if key is None:
            raise InvalidCredential
        return self._used(key)

    def _key(self, credential: str) -> ActiveKey | None:
        shown = digest(credential)
        # All of them each time, so that the time tells nothing.
        found = [each for each in self._keys() if hmac.compare_digest(shown, each.digest)]
        return found[0] if found else None

    def _keys(self) -> tuple[ActiveKey, ...]:
        """The keys that count now, by what was seen last."""
        if (seen := self._seen) is None:
            return self._digests
        since = time.monotonic() - seen.at
        return (*self._digests, *(k for k in seen.keys if k.left is None or k.left > since))

    def _of_session(self, cookie: str) -> Caller | None:
        """Whose session that is; None for one that has ended, or that nobody has begun."""
        if not self._is_ours(cookie):
            return None
        id = sessions.session_id(cookie)
        self._look()
        found = self._session(id)
        if found is None:
            # Begun by another process a moment ago, or over.
            with self._connection() as conn:
                found = session_storage.find(conn, id)
        return self._caller_of(found)

    def _session(self, id: str) -> ActiveSession | None:
        if (seen := self._seen) is None:
            return None
        found = seen.sessions.get(id)
        return found if found and found.left > time.monotonic() - seen.at else None

    def _caller_of(self, session: ActiveSession | None) -> Caller | None:
        if session is None:
            return None
        key = next((each for each in self._keys() if each.id == session.key_id), None)
        return self._used(key, session.id) if key else None

    def _used(self, key: ActiveKey, session: str | None = None) -> Caller:
        self._uses.used(key.id, session)
        return Caller(key.role, name=key.name, key_id=key.id, session=session)

    def _is_ours(self, cookie: str) -> bool:
        parts = _SESSION.fullmatch(cookie)
        return parts is not None and hmac.compare_digest(parts[2], self._session_mark(parts[1]))

    def _session_mark(self, random: str) -> str:
        return self._mark(b"session", random)[:10].hex()

    def _mark(self, what: bytes, text: str) -> bytes:
        return hmac.digest(self._known().secret, what + b"\0" + text.encode(), "sha256")

    def _known(self) -> Locks:
        return self._seen if self._seen is not None else self._look()

    def _look(self, fresh: float | None = None) -> Locks:
        """What there is now; while the database is away, or another thread asks, what there was.

        Nobody waits for another, who may be waiting for a database that hangs. fresh: seconds that
        what was seen is good for.
        """
        seen = self._seen
        patience = _FRESH_SECONDS if fresh is None else fresh
        if seen is not None and time.monotonic() - self._seen_at < patience:
            return seen
        looking = self._looking.acquire(blocking=False)
        if seen is not None and not looking:
            return seen
        try:
            with self._connection() as conn:
                self._seen = seen = storage.look(conn)
            self._seen_at = seen.at
            self._remember(seen.fitted)
        except DatabaseUnavailable:
            if seen is None:
                raise
        finally:
            if looking:
                self._looking.release()
        return seen

    def _remember(self, fitted: bool) -> None:
        """Keep authentication required, although the last key may have vanished from the table."""
        if fitted:
            self._required.set()
        elif self._required.is_set() and not self._digests and not self._warned:
            self._warned = True
            log.warning(
                "The staff keys have vanished from the database; a staff key stays required until "
                "the order service is restarted",
                extra={"action": "staff_keys_vanished"},
            )


def looks_like_session(text: str) -> bool:
    """Whether this may be a session at all."""
    return _SESSION.fullmatch(text) is not None
