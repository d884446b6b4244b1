"""Who may do what: the staff's keys, and the token by which a customer reaches an order.

The doors are closed, so that staff has to show a key, when the environment has one or the table
`staff_key` has a row, be it a revoked one. Otherwise everybody is staff, as the specification has
it. Once closed they stay closed until the service is restarted, even if the rows are deleted.
A tracking token is the order's number and a keyed hash of its number and id: nothing is stored
for it, and nobody without the house's secret can make one. So it is with the session of a browser
that has shown a key: the moment it ends, and a keyed hash of that and of the key, so it is void
with it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol
from uuid import UUID

import psycopg

from pizza.database.errors import DatabaseUnavailable
from pizza.domain.errors import CredentialUnknown, FieldError, InvalidRequest
from pizza.domain.names import words_error
from pizza.domain.order import VIP, OrderDraft
from pizza.storage import doors as storage
from pizza.storage.doors import Locks, StaffKey

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

# A key that is revoked is good for so long, at most.
_FRESH_SECONDS = 1.0
KEY_BYTES = 20
NAME_LENGTH = 50
_PREFIX = "ORD_"
_TOKEN = re.compile(r"([0-9]{8}_[0-9]{3,8})\.[0-9a-f]{40}")
_STAFF_FIELDS = "is for staff"
SESSION_SECONDS = 12 * 60 * 60
_SESSION = re.compile(r"([0-9]{10,11})\.([0-9a-f]{40})")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: staff, or the customer of the order `number`, or anybody (neither).

    key: it is staff because it has shown a key, not because the doors are open.
    """

    staff: bool = False
    number: str | None = None
    key: bool = False

    def may_see(self, number: str) -> bool:
        """Whether it may know whose order that is."""
        return self.staff or self.number == number


OPEN, STAFF, ANYBODY = Caller(staff=True), Caller(staff=True, key=True), Caller()


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
    ) -> None:
        """connection: lends one; digests: SHA-256 of the keys of the environment.

        required: set as soon as there is a key, and never reset.
        """
        self._required = Event() if required is None else required
        self._warned = False
        self._connection = connection
        self._digests = tuple(digests)
        self._seen: Locks | None = None
        self._seen_at = float("-inf")
        self._looking = threading.Lock()

    def closed(self) -> bool:
        """Whether staff has to show a key. Raises DatabaseUnavailable while that is not known."""
        return bool(self._digests) or self._required.is_set() or self._look().fitted

    def caller(self, credential: str | None) -> Caller:
        """Who shows this key, token or session; a session that is over is as good as nothing.

        Raises CredentialUnknown, DatabaseUnavailable.
        """
        if not self.closed():
            return OPEN
        if credential is None:
            return ANYBODY
        if parts := _SESSION.fullmatch(credential):
            return STAFF if self._is_session(parts[1], parts[2]) else ANYBODY
        if number := self._number_of(credential):
            return Caller(number=number)
        if self._is_key(credential):
            return STAFF
        raise CredentialUnknown

    def customer(self, token: str) -> Caller:
        """The customer of a tracking token, whether the doors are open or not.

        Raises CredentialUnknown, DatabaseUnavailable.
        """
        number = self._number_of(token)
        if number is None:
            raise CredentialUnknown
        return Caller(number=number)

    def session(self, key: str) -> str:
        """A session for a browser that shows this key.

        Raises CredentialUnknown, DatabaseUnavailable.
        """
        if not self._is_key(key):
            raise CredentialUnknown
        until = str(int(time.time()) + SESSION_SECONDS)
        return f"{until}.{self._session_mark(until, _digest(key))}"

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

    def _is_key(self, credential: str) -> bool:
        digest = _digest(credential)
        # All of them each time, so that the time tells nothing.
        return sum(hmac.compare_digest(digest, each) for each in self._that_count()) > 0

    def _is_session(self, until: str, mark: str) -> bool:
        if int(until) < time.time():
            return False
        marks = [self._session_mark(until, each) for each in self._that_count()]
        return sum(hmac.compare_digest(mark, each) for each in marks) > 0

    def _session_mark(self, until: str, digest: bytes) -> str:
        return self._mark(b"session", f"{until} {digest.hex()}")[:20].hex()

    def _that_count(self) -> tuple[bytes, ...]:
        """The hashes of all keys that count now."""
        known = self._digests
        try:
            known += tuple(self._look().hashes)
        except DatabaseUnavailable:
            if not known:
                raise
        return known

    def _mark(self, what: bytes, text: str) -> bytes:
        return hmac.digest(self._known().secret, what + b"\0" + text.encode(), "sha256")

    def _known(self) -> Locks:
        return self._seen if self._seen is not None else self._look()

    def _look(self) -> Locks:
        """What there is now; while the database is away, or another thread asks, what there was.

        Nobody waits for another, who may be waiting for a database that hangs.
        """
        seen = self._seen
        if seen is not None and time.monotonic() - self._seen_at < _FRESH_SECONDS:
            return seen
        looking = self._looking.acquire(blocking=False)
        if seen is not None and not looking:
            return seen
        try:
            with self._connection() as conn:
                self._seen = seen = storage.look(conn)
            self._seen_at = time.monotonic()
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


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def staff_fields(draft: OrderDraft) -> list[FieldError]:
    """The wishes of an order that only staff may have; none in most orders."""
    wishes = (
        ("customer_type", draft.customer_type == VIP),
        ("rush", draft.rush),
        ("priority", draft.priority is not None),
    )
    return [FieldError(name, _STAFF_FIELDS) for name, wished in wishes if wished]


def add_key(conn: Connection, name: str) -> tuple[StaffKey, str]:
    """Make a key; its text comes back this once and is kept nowhere. Raises InvalidRequest.

    From the first key on the doors are closed, in running services within a second.
    """
    if message := words_error(name, NAME_LENGTH):
        raise InvalidRequest([FieldError("name", message)])
    key_id = secrets.token_hex(4)
    key = f"pizza_{key_id}_{secrets.token_hex(KEY_BYTES)}"
    kept = storage.add(conn, key_id, name, _digest(key))
    _log("staff_key_added", kept)
    return kept, key


def revoke_key(conn: Connection, key_id: str) -> StaffKey:
    """Let a key count no more, in running services within a second. Raises NoSuchKey."""
    kept = storage.revoke(conn, key_id)
    _log("staff_key_revoked", kept)
    return kept


def list_keys(conn: Connection) -> list[StaffKey]:
    """All keys, oldest first, the revoked ones too."""
    return storage.keys(conn)


def _log(action: str, key: StaffKey) -> None:
    log.info("Staff keys have changed", extra={"action": action,
             "details": {"id": key.id, "name": key.name}})  # fmt: skip
