"""Sessions of the staff's browsers: created with a key, renewed while used, listed, ended.

A cookie is 160 random bits and an HMAC of them, so that a forged cookie costs no statement. The
database has the SHA-256 of the cookie.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from pizza.audit import Subject, record_change
from pizza.auth import storage
from pizza.database.connection import Connection
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.actor import UNNAMED, Actor
from pizza.domain.errors import SessionNotFound
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

COOKIE_BYTES = 20
IDLE_SECONDS = 2 * 60 * 60
MAX_AGE = timedelta(days=7)
SHORT_ID = 12
_USE_SECONDS = 60.0
_AGENT_LENGTH = 200


def session_id(cookie: str) -> str:
    """The id of a session in the database."""
    return hashlib.sha256(cookie.encode()).hexdigest()


def create_session(
    conn: Connection, cookie: str, actor: Actor, *, idle: timedelta, agent: str
) -> None:
    """Store the session of a cookie for the actor's key. agent: the browser's User-Agent."""
    assert actor.key_id is not None
    id = session_id(cookie)
    agent = "".join(filter(str.isprintable, agent))[:_AGENT_LENGTH]
    with conn.transaction():
        storage.insert_session(conn, id, actor.key_id, idle=idle, client=actor.source, agent=agent)
        record_change(conn, actor, "logged_in", _subject(id))


def end_session(conn: Connection, id: str, *, actor: Actor = UNNAMED) -> None:
    """End a session by its id, or by an unambiguous prefix of it. Raises SessionNotFound."""
    with conn.transaction():
        id = storage.find_id(conn, id)
        key_id = storage.end_session(conn, id)
        if key_id is None:
            raise SessionNotFound(id)
        record_change(conn, actor, "session_ended", _subject(id), before={"key": key_id})


def log_out(conn: Connection, cookie: str, actor: Actor) -> None:
    """End the session of a cookie, if it has not ended."""
    id = session_id(cookie)
    with conn.transaction():
        if storage.end_session(conn, id) is not None:
            record_change(conn, actor, "logged_out", _subject(id))


def end_all_sessions(conn: Connection, *, actor: Actor = UNNAMED) -> int:
    """End all sessions; returns how many there were."""
    with conn.transaction():
        ended = storage.end_all_sessions(conn)
        for id, key_id in ended:
            record_change(conn, actor, "session_ended", _subject(id), before={"key": key_id})
    return len(ended)


class UseRecorder:
    """Writes the last use of keys and sessions in the background, at most once a minute.

    A request only adds to a set in memory. Each write runs in a thread that is started for it, and
    uses a connection of the pool.
    """

    def __init__(
        self, connection: Callable[[], AbstractContextManager[Connection]], idle: timedelta
    ) -> None:
        self._connection, self._idle = connection, idle
        # A session must be renewed well before its idle time ends.
        self._every = min(_USE_SECONDS, idle.total_seconds() / 4)
        self._keys: set[str] = set()
        self._sessions: set[str] = set()
        self._next = float("-inf")
        self._lock = threading.Lock()

    def record(self, key_id: str, session: str | None) -> None:
        """Record a use. Does not wait for the database."""
        with self._lock:
            self._keys.add(key_id)
            if session is not None:
                self._sessions.add(session)
            now = time.monotonic()
            if now < self._next:
                return
            self._next = now + self._every
        threading.Thread(target=self.write, name="key-use", daemon=True).start()

    def write(self) -> None:
        """Write the recorded uses; without a database they are dropped."""
        with self._lock:
            keys, self._keys = sorted(self._keys), set()
            sessions, self._sessions = sorted(self._sessions), set()
        try:
            with self._connection() as conn, conn.transaction():
                storage.set_last_used(conn, keys, timedelta(seconds=self._every / 2))
                if sessions:
                    storage.extend_sessions(conn, sessions, idle=self._idle, max_age=MAX_AGE)
        except DatabaseUnavailable:
            pass  # the requests log it
        except Exception as error:
            log_action(log.error, "use_not_written", "Last use is not written", error=error)


def _subject(id: str) -> Subject:
    return Subject("session", id[:SHORT_ID])
