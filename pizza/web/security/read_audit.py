"""Records reads of personal data by principals with a key in the audit log."""

from __future__ import annotations

import threading
import time

from pizza.audit import audit_log
from pizza.audit.audit_log import CUSTOMER, Subject
from pizza.database.connection import Connection
from pizza.domain.names import fold_name
from pizza.web.security import authorization

_REPEAT_SECONDS = 60.0
# The kitchen page requests its orders every few seconds.
BOARD_SECONDS = 3600.0
_MAX_REMEMBERED = 10_000


class ReadAudit:
    """Records the first of equal reads of one session, then none for a while. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[str | None, ...], float] = {}

    def record(
        self,
        conn: Connection,
        action: str,
        kind: str,
        id: str = "",
        *,
        seconds: float = _REPEAT_SECONDS,
    ) -> None:
        """Record a read by the principal of the current request, after it has succeeded.

        id: for a customer the name. seconds: for how long the same read is not recorded again.
        Records nothing without a key. Runs in the transaction of `conn`.
        """
        principal = authorization.current_principal()
        if principal.key_id is None:
            return
        name = fold_name(id) if kind == CUSTOMER else id
        key = (principal.key_id, principal.session, action, kind, name)
        if not self._is_first(key, seconds):
            return
        subject = audit_log.customer_subject(conn, id) if kind == CUSTOMER else Subject(kind, id)
        if not audit_log.record_read(conn, authorization.current_actor(), action, subject):
            with self._lock:
                self._until.pop(key, None)

    def _is_first(self, key: tuple[str | None, ...], seconds: float) -> bool:
        now = time.monotonic()
        with self._lock:
            if now < self._until.get(key, now):
                return False
            if len(self._until) >= _MAX_REMEMBERED:
                self._until.clear()
            self._until[key] = now + seconds
            return True
