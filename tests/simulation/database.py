"""A model of PostgreSQL as the framework needs it: tables, commits, sessions, advisory locks.

What a transaction changed is seen by others once it commits, and is gone when it does not; see
transaction.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg

from pizza.taskqueue.job import STALE_CLAIM

from .scheduler import Process, Scheduler, Waiters

if TYPE_CHECKING:
    from .connection import Connection
    from .transaction import Transaction

Log = Callable[[str, Any, Any], None]


class TokenRefused(psycopg.DatabaseError):
    """What the framework's functions raise for a token that is not the newest."""

    sqlstate = STALE_CLAIM


class Record:
    """A row of any table. Never changed: a change makes another one."""

    def __init__(self, **values: Any) -> None:
        self.__dict__ = values

    def changed(self, **values: Any) -> Any:
        return type(self)(**{**self.__dict__, **values})


class Row(Record):
    """A row of the table `message`."""

    id: Any
    position: int
    state: str
    task: str | None = None
    queue: str | None = None
    exchange: str = ""
    routing_key: str = ""
    priority: int = 0
    headers: Any = None
    needs: Any = None
    body: bytes = b""
    created_at: Any = None
    available_at: Any = None
    sent_at: Any = None
    attempt: int = 0
    runs: int = 0
    refusals: int = 0
    token: int = 0
    holder: int | None = None
    renewed_at: Any = None
    lease_until: Any = None


TABLES = (
    "message", "worker_session", "redelivery", "dead_message", "identity", "leader",
    "periodic_task", "tally",
)  # fmt: skip


class Database:
    """The server. log: what committed, for the checker; off: guards that are taken out."""

    def __init__(self, scheduler: Scheduler, log: Log) -> None:
        self.scheduler = scheduler
        self.log = log
        self.off: frozenset[str] = frozenset()
        self.underway: Callable[[Process], None] = lambda _process: None
        self.tables: dict[str, dict[Any, Any]] = {name: {} for name in TABLES}
        self.tables["leader"]["publisher"] = Record(
            heartbeat_at=scheduler.now, broker_lost_at=None, candidate_at=None, connection=None
        )
        self.down_until = 0.0
        self.server_start = 0.0
        self.connections: list[Connection] = []
        self.locks: dict[Any, Transaction] = {}
        self.waiting: Waiters = []
        self.sessions: dict[Any, Connection] = {}
        self.depths: dict[Any, int] = {}
        self.reservations: dict[int, list[Connection]] = {}
        self.sharers: dict[Any, list[Transaction]] = {}
        self.position = 0
        self.serial = 0
        self.unsynced: list[list[tuple[str, Any, Any]]] = []

    @property
    def messages(self) -> dict[Any, Row]:
        return self.tables["message"]

    def crash(self, down: float) -> None:
        """kill -9 and a start: transactions are gone, and of unsynced commits perhaps some."""
        self.scheduler.note(f"*** PostgreSQL crashes, away for {down:.1f} s")
        for connection in list(self.connections):
            self.end(connection)
        if self.scheduler.rng.random() < 0.5:
            for before in reversed(self.unsynced):
                self._put(before)
        self.unsynced.clear()
        self.server_start = self.down_until = self.scheduler.now + down

    def end(self, connection: Connection) -> None:
        """The server's side of a connection's end."""
        if connection.ended:
            return
        connection.ended = True
        self.connections.remove(connection)
        if connection.tx is not None and not connection.tx.over:
            connection.tx.rollback()
        for key in [key for key, owner in self.sessions.items() if owner is connection]:
            del self.sessions[key], self.depths[key]
        for key in [key for key, owners in self.reservations.items() if connection in owners]:
            del self.reservations[key]
        self.scheduler.wake(connection.readers)
        self.scheduler.wake(self.waiting)

    def terminate(self, key: Any, caller: Connection) -> int:
        """The function session_terminate: the backend ends a moment later."""
        holder = self.sessions.get(key)
        if holder is None or holder is caller:
            return 0
        if self.scheduler.current is None:
            self.end(holder)
        else:
            self.scheduler.at(self.scheduler.rng.random() * 0.01, lambda: self.end(holder))
        return 1

    def _put(self, changes: list[tuple[str, Any, Any]]) -> None:
        for table, key, value in changes:
            if value is None:
                self.tables[table].pop(key, None)
            else:
                self.tables[table][key] = value

    def commit(self, changes: dict[str, dict[Any, Any]], synced: bool) -> None:
        flat = [
            (table, key, value) for table, rows in changes.items() for key, value in rows.items()
        ]
        if synced:
            self.unsynced.clear()
        elif flat:
            self.unsynced.append([(t, key, self.tables[t].get(key)) for t, key, _ in flat])
        self._put(flat)
