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
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from uuid import UUID

from pizza.auth import sessions, storage
from pizza.auth.auth_cache import AuthCache, Flag
from pizza.auth.principal import ANONYMOUS, AUTH_DISABLED, Principal
from pizza.auth.storage import ActiveKey, ActiveSession
from pizza.database.connection import Connection
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import InvalidCredential

# For an unknown key the state is read again if it is older than this.
_UNKNOWN_KEY_MAX_AGE_S = 0.1
_PREFIX = "ORD_"
_TOKEN = re.compile(r"([0-9]{8}_[0-9]{3,8})\.[0-9a-f]{40}")
_SESSION = re.compile(r"s\.([0-9a-f]{40})\.([0-9a-f]{20})")


class Authenticator:
    """Authenticates credentials by a copy of the keys and sessions in memory. Thread-safe."""

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
        self._cache = AuthCache(connection, digests, required)
        self._connection = connection
        self._idle = timedelta(seconds=idle_seconds)
        self._uses = sessions.UseRecorder(connection, self._idle)

    def auth_required(self) -> bool:
        """Whether staff must authenticate. Raises DatabaseUnavailable while that is unknown."""
        return self._cache.auth_required()

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
        if not self._cache.auth_required(cached=True):
            return AUTH_DISABLED
        if credential is None:
            return ANONYMOUS
        if looks_like_session(credential):
            found = self._cache.find_session(sessions.session_id(credential))
            return self._principal_of(found) or ANONYMOUS
        if parts := _TOKEN.fullmatch(credential):
            return Principal(number=_PREFIX + parts[1])
        key = self._cache.find_key(credential)
        return self._record_use(key) if key else ANONYMOUS

    def refresh(self, seconds: float) -> None:
        """Read the keys again if the copy is older than `seconds`; keep it without a database."""
        with suppress(DatabaseUnavailable):
            self._cache.load(seconds)

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
        random = secrets.token_hex(sessions.COOKIE_BYTES)
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
        self._cache.invalidate()

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
        self._cache.loaded()

    def _verified_number(self, token: str) -> str | None:
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        number = _PREFIX + parts[1]
        self._cache.load()
        with self._connection() as conn:
            order_id = storage.find_order_id(conn, number)
        if order_id is None or not hmac.compare_digest(
            token, self.tracking_token(number, order_id)
        ):
            return None
        return number

    def _principal_of_key(self, credential: str) -> Principal:
        try:
            self._cache.load()
        except DatabaseUnavailable:
            if not self._cache.environment_keys:
                raise
        key = self._cache.find_key(credential)
        if key is None:
            # It may have been created since the last read.
            with suppress(DatabaseUnavailable):
                self._cache.load(_UNKNOWN_KEY_MAX_AGE_S)
            key = self._cache.find_key(credential)
        if key is None:
            raise InvalidCredential
        return self._record_use(key)

    def _principal_of_session(self, cookie: str) -> Principal | None:
        """The principal of a session; None for one that has ended or never existed."""
        if not self._is_signed(cookie):
            return None
        id = sessions.session_id(cookie)
        self._cache.load()
        found = self._cache.find_session(id)
        if found is None:
            # It may have been created by another process since the last read.
            with self._connection() as conn:
                found = storage.find_session(conn, id)
        return self._principal_of(found)

    def _principal_of(self, session: ActiveSession | None) -> Principal | None:
        if session is None:
            return None
        key = self._cache.key_of(session)
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
        return hmac.digest(
            self._cache.loaded().signing_secret, purpose + b"\0" + text.encode(), "sha256"
        )


def looks_like_session(text: str) -> bool:
    """Whether a text has the form of a session cookie."""
    return _SESSION.fullmatch(text) is not None
