"""Authentication: staff keys, sessions of browsers, and tracking tokens of customers.

Authentication is required once there is a staff key: in the environment, or in the table
`staff_key`, where revoked keys count as well. Before that everybody is a manager, as specified. It
stays required until the service restarts, even if the rows are deleted.
A tracking token is the order's number and an HMAC of its number and id with the installation's
signing secret; it is not stored. A browser that has sent a key gets a session
(pizza.auth.sessions), which is valid as long as that key is.
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
from typing import Protocol
from uuid import UUID

from pizza.auth import session_storage, sessions, storage
from pizza.auth.keys import ENVIRONMENT, digest, environment_id
from pizza.auth.principal import ANONYMOUS, AUTH_DISABLED, Principal
from pizza.auth.storage import ActiveKey, ActiveSession, AuthState
from pizza.database.connection import Connection
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import InvalidCredential
from pizza.domain.roles import MANAGER

log = logging.getLogger(__name__)

# A revoked key is accepted for at most this time.
_MAX_AGE_S = 1.0
# For an unknown key the state is read again if it is older than this.
_UNKNOWN_KEY_MAX_AGE_S = 0.1
_PREFIX = "ORD_"
_TOKEN = re.compile(r"([0-9]{8}_[0-9]{3,8})\.[0-9a-f]{40}")
_SESSION = re.compile(r"s\.([0-9a-f]{40})\.([0-9a-f]{20})")


class Flag(Protocol):
    """The part of threading.Event that is used here; it may be shared by processes."""

    def is_set(self) -> bool:
        """Whether it has been set."""

    def set(self) -> None:
        """Set it."""


class Authenticator:
    """Authenticates credentials by a copy of the keys and sessions in memory. Thread-safe.

    The copy is at most a second old while the database can be reached.
    """

    def __init__(
        self,
        connection: Callable[[], AbstractContextManager[Connection]],
        digests: Iterable[bytes] = (),
        required: Flag | None = None,
        *,
        idle_seconds: float = sessions.IDLE_SECONDS,
    ) -> None:
        """connection: lends a connection of a pool; digests: SHA-256 of the environment's keys.

        required: set once there is a key, and never reset. idle_seconds: a session ends after this
        time without a request or an open stream.
        """
        self._required = Event() if required is None else required
        self._warned = False
        self._connection = connection
        self._digests = tuple(
            ActiveKey(environment_id(each), ENVIRONMENT, MANAGER, each) for each in digests
        )
        self._idle = timedelta(seconds=idle_seconds)
        self._uses = sessions.UseRecorder(connection, self._idle)
        self._state: AuthState | None = None
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def auth_required(self) -> bool:
        """Whether staff must authenticate. Raises DatabaseUnavailable while that is unknown."""
        return bool(self._digests) or self._required.is_set() or self._load().has_keys

    def authenticate(self, credential: str | None) -> Principal:
        """The principal of a key, a tracking token or a session cookie.

        ANONYMOUS for no credential and for a session that has ended. Raises InvalidCredential,
        DatabaseUnavailable.
        """
        if not self.auth_required():
            return AUTH_DISABLED
        if credential is None:
            return ANONYMOUS
        if looks_like_session(credential):
            return self._principal_of_session(credential) or ANONYMOUS
        if number := self._verified_number(credential):
            return Principal(number=number)
        return self._principal_of_key(credential)

    def authenticate_cached(self, credential: str | None) -> Principal:
        """As `authenticate`, by the copy in memory, which `refresh` updates; executes no SQL.

        ANONYMOUS for a credential that is no longer valid. A tracking token is not checked: it does
        not expire.
        """
        if not self._digests and not self._required.is_set() and not self._loaded().has_keys:
            return AUTH_DISABLED
        if credential is None:
            return ANONYMOUS
        if looks_like_session(credential):
            found = self._find_session(sessions.session_id(credential))
            return self._principal_of(found) or ANONYMOUS
        if parts := _TOKEN.fullmatch(credential):
            return Principal(number=_PREFIX + parts[1])
        key = self._find_key(credential)
        return self._record_use(key) if key else ANONYMOUS

    def refresh(self, seconds: float) -> None:
        """Read the keys again if the copy is older than `seconds`; keep it without a database."""
        with suppress(DatabaseUnavailable):
            self._load(seconds)

    def authenticate_tracking_token(self, token: str) -> Principal:
        """The customer of a tracking token, even if authentication is not required.

        Raises InvalidCredential, DatabaseUnavailable.
        """
        number = self._verified_number(token)
        if number is None:
            raise InvalidCredential
        return Principal(number=number)

    def log_in(self, key: str, *, source: str, agent: str) -> str:
        """Create a session for a browser that sends this key; returns its cookie.

        source: the client's address; agent: its User-Agent. Raises InvalidCredential,
        DatabaseUnavailable.
        """
        principal = self._principal_of_key(key)
        random = sessions.new_cookie()
        cookie = f"s.{random}.{self._sign_cookie(random)}"
        with self._connection() as conn:
            sessions.create_session(
                conn, cookie, principal.actor(source), idle=self._idle, agent=agent
            )
        return cookie

    def log_out(self, cookie: str, *, source: str) -> None:
        """End the session of a cookie, if there is one. Raises DatabaseUnavailable."""
        if not self._is_signed(cookie):
            return
        principal = self._principal_of_session(cookie)
        with self._connection() as conn:
            sessions.log_out(conn, cookie, (principal or ANONYMOUS).actor(source))
        self._read_at = float("-inf")

    def tracking_token(self, number: str, order_id: UUID) -> str:
        """The tracking token of an order; an order always has the same one.

        It depends on the order's id: if a restored database gives a number a second time, that
        order has another token.
        """
        signature = self._sign(b"track", f"{number} {order_id}")
        return f"{number.removeprefix(_PREFIX)}.{signature[:20].hex()}"

    def hash_address(self, address: str) -> bytes:
        """The keyed hash under which a client's address is stored."""
        return self._sign(b"client", address)[:16]

    def warm_up(self) -> None:
        """Load the secret, so that `tracking_token` and `hash_address` need no database.

        Raises DatabaseUnavailable.
        """
        self._loaded()

    def _verified_number(self, token: str) -> str | None:
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        number = _PREFIX + parts[1]
        self._load()
        with self._connection() as conn:
            order_id = storage.find_order_id(conn, number)
        if order_id is None or not hmac.compare_digest(
            token, self.tracking_token(number, order_id)
        ):
            return None
        return number

    def _principal_of_key(self, credential: str) -> Principal:
        try:
            self._load()
        except DatabaseUnavailable:
            if not self._digests:
                raise
        key = self._find_key(credential)
        if key is None:
            # It may have been created since the last read.
            with suppress(DatabaseUnavailable):
                self._load(_UNKNOWN_KEY_MAX_AGE_S)
            key = self._find_key(credential)
        if key is None:
            raise InvalidCredential
        return self._record_use(key)

    def _find_key(self, credential: str) -> ActiveKey | None:
        shown = digest(credential)
        # Every key is compared, so that the duration is the same for all.
        found = [each for each in self._valid_keys() if hmac.compare_digest(shown, each.digest)]
        return found[0] if found else None

    def _valid_keys(self) -> tuple[ActiveKey, ...]:
        """The keys that are valid now, by the copy in memory."""
        if (state := self._state) is None:
            return self._digests
        since = time.monotonic() - state.at
        return (*self._digests, *(k for k in state.keys if k.left is None or k.left > since))

    def _principal_of_session(self, cookie: str) -> Principal | None:
        """The principal of a session; None for one that has ended or never existed."""
        if not self._is_signed(cookie):
            return None
        id = sessions.session_id(cookie)
        self._load()
        found = self._find_session(id)
        if found is None:
            # It may have been created by another process since the last read.
            with self._connection() as conn:
                found = session_storage.find_session(conn, id)
        return self._principal_of(found)

    def _find_session(self, id: str) -> ActiveSession | None:
        if (state := self._state) is None:
            return None
        found = state.sessions.get(id)
        return found if found and found.left > time.monotonic() - state.at else None

    def _principal_of(self, session: ActiveSession | None) -> Principal | None:
        if session is None:
            return None
        key = next((each for each in self._valid_keys() if each.id == session.key_id), None)
        return self._record_use(key, session.id) if key else None

    def _record_use(self, key: ActiveKey, session: str | None = None) -> Principal:
        self._uses.record(key.id, session)
        return Principal(key.role, name=key.name, key_id=key.id, session=session)

    def _is_signed(self, cookie: str) -> bool:
        parts = _SESSION.fullmatch(cookie)
        return parts is not None and hmac.compare_digest(parts[2], self._sign_cookie(parts[1]))

    def _sign_cookie(self, random: str) -> str:
        return self._sign(b"session", random)[:10].hex()

    def _sign(self, purpose: bytes, text: str) -> bytes:
        return hmac.digest(self._loaded().signing_secret, purpose + b"\0" + text.encode(), "sha256")

    def _loaded(self) -> AuthState:
        return self._state if self._state is not None else self._load()

    def _load(self, max_age: float | None = None) -> AuthState:
        """The state, read again if it is older than `max_age` seconds (None: _MAX_AGE_S).

        The old state while another thread reads, and without a database. No thread waits for
        another one, which may be waiting for a database that does not respond.
        """
        state = self._state
        limit = _MAX_AGE_S if max_age is None else max_age
        if state is not None and time.monotonic() - self._read_at < limit:
            return state
        reading = self._reading.acquire(blocking=False)
        if state is not None and not reading:
            return state
        try:
            with self._connection() as conn:
                self._state = state = storage.load_auth_state(conn)
            self._read_at = state.at
            self._update_required(state.has_keys)
        except DatabaseUnavailable:
            if state is None:
                raise
        finally:
            if reading:
                self._reading.release()
        return state

    def _update_required(self, has_keys: bool) -> None:
        """Keep authentication required, even if the last row of the table was deleted."""
        if has_keys:
            self._required.set()
        elif self._required.is_set() and not self._digests and not self._warned:
            self._warned = True
            log.warning(
                "The staff keys have vanished from the database; a staff key stays required until "
                "the order service is restarted",
                extra={"action": "staff_keys_vanished"},
            )


def looks_like_session(text: str) -> bool:
    """Whether a text has the form of a session cookie."""
    return _SESSION.fullmatch(text) is not None
