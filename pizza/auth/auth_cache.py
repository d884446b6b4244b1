"""A copy in memory of the signing secret and of the valid keys and sessions."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from threading import Event
from typing import Protocol

from pizza.auth import storage
from pizza.auth.keys import digest, environment_id
from pizza.auth.storage import ENVIRONMENT, ActiveKey, ActiveSession, AuthState
from pizza.database.connection import Connection
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.roles import MANAGER
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

# A revoked key is accepted for at most this time.
_MAX_AGE_S = 1.0


class Flag(Protocol):
    """The part of threading.Event that is used here; it may be shared by processes."""

    def is_set(self) -> bool:
        """Whether it has been set."""

    def set(self) -> None:
        """Set it."""


class AuthCache:
    """The copy, at most a second old while the database can be reached. Thread-safe.

    environment_keys: the keys of the environment, which are valid without a database.
    """

    def __init__(
        self,
        connection: Callable[[], AbstractContextManager[Connection]],
        digests: Iterable[bytes],
        required: Flag | None,
    ) -> None:
        """As pizza.auth.authenticator.Authenticator."""
        self.environment_keys = tuple(
            ActiveKey(environment_id(each), ENVIRONMENT, MANAGER, each) for each in digests
        )
        self._connection = connection
        self._required = Event() if required is None else required
        self._warned = False
        self._state: AuthState | None = None
        # Copies that were read before this time are outdated.
        self._valid_from = float("-inf")
        self._reading = threading.Lock()

    def auth_required(self, *, cached: bool = False) -> bool:
        """Whether staff must authenticate. cached: by the copy, without SQL if there is one.

        Raises DatabaseUnavailable while that is unknown.
        """
        if self.environment_keys or self._required.is_set():
            return True
        return (self.loaded() if cached else self.load()).has_keys

    def find_key(self, credential: str) -> ActiveKey | None:
        """The valid key with this text. Executes no SQL."""
        shown = digest(credential)
        # Every key is compared, so that the duration is the same for all.
        found = [each for each in self._valid_keys() if hmac.compare_digest(shown, each.digest)]
        return found[0] if found else None

    def find_session(self, id: str) -> ActiveSession | None:
        """The open session with this id. Executes no SQL."""
        if (state := self._state) is None:
            return None
        found = state.sessions.get(id)
        return found if found and found.left > time.monotonic() - state.at else None

    def key_of(self, session: ActiveSession) -> ActiveKey | None:
        """The key of a session, if it is valid. Executes no SQL."""
        return next((each for each in self._valid_keys() if each.id == session.key_id), None)

    def loaded(self) -> AuthState:
        """The copy of any age, read if there is no copy yet. Raises DatabaseUnavailable."""
        return self._state if self._state is not None else self.load()

    def load(self, max_age: float | None = None) -> AuthState:
        """The copy, read again if it is older than `max_age` seconds (None: _MAX_AGE_S).

        The old copy while another thread reads, and without a database. No thread waits for
        another one, which may be waiting for a database that does not respond.
        """
        state, valid_from = self._state, self._valid_from
        limit = _MAX_AGE_S if max_age is None else max_age
        is_valid = state is not None and state.at >= valid_from
        if state is not None and is_valid and time.monotonic() - state.at < limit:
            return state
        reading = self._reading.acquire(blocking=False)
        if state is not None and is_valid and not reading:
            return state
        try:
            with self._connection() as conn:
                self._state = state = storage.load_auth_state(conn)
            self._update_required(state.has_keys)
        except DatabaseUnavailable:
            if state is None:
                raise
        finally:
            if reading:
                self._reading.release()
        return state

    def invalidate(self) -> None:
        """Have the next `load` read again, even while a read that began before is under way."""
        self._valid_from = time.monotonic()

    def _valid_keys(self) -> tuple[ActiveKey, ...]:
        if (state := self._state) is None:
            return self.environment_keys
        since = time.monotonic() - state.at
        valid = (key for key in state.keys if key.left is None or key.left > since)
        return (*self.environment_keys, *valid)

    def _update_required(self, has_keys: bool) -> None:
        """Keep authentication required, even if the last row of the table was deleted."""
        if has_keys:
            self._required.set()
        elif self._required.is_set() and not self.environment_keys and not self._warned:
            self._warned = True
            text = (
                "The staff keys have vanished from the database; a staff key stays required until "
                "the order service is restarted"
            )
            log_action(log.warning, "staff_keys_vanished", text)
