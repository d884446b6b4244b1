"""The sessions of staff's browsers: begun by a key, listed, ended; and renewed while they are used.

A cookie is 160 random bits and a keyed hash of them, so that a cookie which no service of this
restaurant has made costs no statement. The database has the SHA-256 of the cookie.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import psycopg

from pizza.audit import audit_log
from pizza.audit.audit_log import Subject
from pizza.auth import key_storage
from pizza.auth import session_storage as storage
from pizza.auth.keys import ENVIRONMENT
from pizza.auth.session_storage import StaffSession
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.actor import UNNAMED, Actor
from pizza.domain.errors import SessionNotFound

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

COOKIE_BYTES = 20
IDLE_SECONDS = 2 * 60 * 60
LONGEST = timedelta(days=7)
SHORT_ID = 12
_USE_SECONDS = 60.0
_AGENT_LENGTH = 200


def new_cookie() -> str:
    """160 random bits, without their keyed hash."""
    return secrets.token_hex(COOKIE_BYTES)


def session_id(cookie: str) -> str:
    """What the database knows a cookie by."""
    return hashlib.sha256(cookie.encode()).hexdigest()


def begin(conn: Connection, cookie: str, actor: Actor, *, idle: timedelta, agent: str) -> None:
    """Store the session of a cookie for the actor's key. agent: the browser's User-Agent."""
    assert actor.key_id is not None
    id = session_id(cookie)
    with conn.transaction():
        storage.begin(conn, id, actor.key_id, idle=idle, client=actor.source, agent=_shown(agent))
        audit_log.record(conn, actor, "logged_in", _subject(id))


def end(conn: Connection, id: str, *, actor: Actor = UNNAMED) -> None:
    """End a session by its id, or by an unambiguous beginning of it. Raises SessionNotFound."""
    with conn.transaction():
        id = storage.whole_id(conn, id)
        key_id = storage.end(conn, id)
        if key_id is None:
            raise SessionNotFound(id)
        audit_log.record(conn, actor, "session_ended", _subject(id), before={"key": key_id})


def log_out(conn: Connection, cookie: str, actor: Actor) -> None:
    """End the session of a cookie; it may have ended before."""
    id = session_id(cookie)
    with conn.transaction():
        if storage.end(conn, id) is not None:
            audit_log.record(conn, actor, "logged_out", _subject(id))


def end_all(conn: Connection, *, actor: Actor = UNNAMED) -> int:
    """End all sessions; returns how many there were."""
    with conn.transaction():
        ended = storage.end_all(conn)
        for id, key_id in ended:
            audit_log.record(conn, actor, "session_ended", _subject(id), before={"key": key_id})
    return len(ended)


def list_sessions(conn: Connection) -> list[StaffSession]:
    """The sessions that have not ended, oldest first. Not all of their keys need to count."""
    return storage.sessions(conn)


def owner(session: StaffSession) -> str:
    """The name of the key of a session."""
    return session.key_name or ENVIRONMENT


class UseRecorder:
    """Writes which keys and sessions are used, in the background, at most once a minute.

    A request only adds to a set in memory. A thread that lives for one write is started when the
    last write is long enough ago; it uses a connection of the pool.
    """

    def __init__(
        self, connection: Callable[[], AbstractContextManager[Connection]], idle: timedelta
    ) -> None:
        self._connection, self._idle = connection, idle
        # A session must be renewed well before its idle time is over.
        self._every = min(_USE_SECONDS, idle.total_seconds() / 4)
        self._keys: set[str] = set()
        self._sessions: set[str] = set()
        self._next = float("-inf")
        self._lock = threading.Lock()

    def used(self, key_id: str, session: str | None) -> None:
        """Note a use. Never waits for the database."""
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
        """Write what was noted. Without the database it is forgotten: the next use comes."""
        with self._lock:
            keys, self._keys = sorted(self._keys), set()
            sessions, self._sessions = sorted(self._sessions), set()
        try:
            with self._connection() as conn, conn.transaction():
                key_storage.used(conn, keys, timedelta(seconds=self._every / 2))
                if sessions:
                    storage.used(conn, sessions, idle=self._idle, longest=LONGEST)
        except DatabaseUnavailable:
            pass  # logged by whoever needs the database
        except Exception as error:
            log.error(
                "Last use is not written", exc_info=error, extra={"action": "use_not_written"}
            )


def _shown(agent: str) -> str:
    """A User-Agent as it may be stored: printable, short."""
    return "".join(each for each in agent if each.isprintable())[:_AGENT_LENGTH]


def _subject(id: str) -> Subject:
    return Subject("session", id[:SHORT_ID])
