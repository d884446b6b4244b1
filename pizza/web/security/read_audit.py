"""Reads of personal data by callers with a key go to the audit log."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from pizza.audit import audit_log
from pizza.audit.audit_log import CUSTOMER, Subject
from pizza.domain.names import fold
from pizza.web.security import authorization

_AGAIN_SECONDS = 60.0
# A board asks for its orders every few seconds, all evening.
BOARD_SECONDS = 3600.0
_MOST_REMEMBERED = 10_000


class ReadAudit:
    """Of equal reads of one session this process records the first, then none for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[str | None, ...], float] = {}

    def record(
        self,
        conn: psycopg.Connection[Any],
        action: str,
        kind: str,
        id: str = "",
        *,
        seconds: float = _AGAIN_SECONDS,
    ) -> None:
        """Record a read by the current request's caller, after it has succeeded.

        id: of a customer the name. seconds: for how long the same read is not recorded again.
        Without a key nothing is recorded.
        """
        caller = authorization.current()
        if caller.key_id is None:
            return
        key = (caller.key_id, caller.session, action, kind, fold(id) if kind == CUSTOMER else id)
        if not self._is_first(key, seconds):
            return
        subject = audit_log.customer(conn, id) if kind == CUSTOMER else Subject(kind, id)
        if not audit_log.record_read(conn, authorization.actor(), action, subject):
            with self._lock:
                self._until.pop(key, None)

    def _is_first(self, key: tuple[str | None, ...], seconds: float) -> bool:
        now = time.monotonic()
        with self._lock:
            if now < self._until.get(key, now):
                return False
            if len(self._until) >= _MOST_REMEMBERED:
                self._until.clear()
            self._until[key] = now + seconds
            return True
