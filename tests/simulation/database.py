"""A model of PostgreSQL as the framework needs it: transactions, row and advisory locks, notices.

What a transaction changed is seen by others once it commits, and is gone when it does not. Who
wants a row that another transaction has locked waits, and then looks at the row anew (read
committed).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

from pizza.database.errors import DatabaseUnavailable
from pizza.framework.job import REFUSED

from .scheduler import Scheduler, Waiters

if TYPE_CHECKING:
    from .connection import Connection

_LOCK_WAIT_S = 10.0


class TokenRefused(psycopg.DatabaseError):
    """What the framework's functions raise for a token that is not the newest."""

    sqlstate = REFUSED


class Row:
    """A row of the table `message`. Never changed: a change makes another one."""

    id: Any
    position: int
    state: str
    task: str | None = None
    queue: str | None = None
    exchange: str = ""
    routing_key: str = ""
    priority: int = 0
    headers: Any = None
    body: bytes = b""
    created_at: Any = None
    available_at: Any = None
    sent_at: Any = None
    attempt: int = 0
    token: int = 0
    holder: int | None = None
    renewed_at: Any = None
    lease_until: Any = None

    def __init__(self, **values: Any) -> None:
        self.__dict__ = values

    def changed(self, **values: Any) -> Row:
        return Row(**{**self.__dict__, **values})


class Database:
    """The server. log: what committed, for the judge; off: guards that are taken out."""

    def __init__(self, scheduler: Scheduler, log: Callable[[str, Any, Any], None]) -> None:
        self.scheduler = scheduler
        self.log = log
        self.off: frozenset[str] = frozenset()
        self.messages: dict[Any, Row] = {}
        self.down_until = 0.0
        self.server_start = 0.0
        self.connections: list[Connection] = []
        self.locks: dict[Any, Transaction] = {}
        self.waiting: Waiters = []
        self.sessions: dict[int, Connection] = {}
        self.promises: dict[int, list[Connection]] = {}
        self.sharers: dict[int, list[Transaction]] = {}
        self.beat_at = 0.0
        self.position = 0
        self.serial = 0
        self.unsynced: list[dict[Any, Row | None]] = []

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
            del self.sessions[key]
        for key in [key for key, owners in self.promises.items() if connection in owners]:
            del self.promises[key]
        self.scheduler.wake(connection.readers)

    def _put(self, rows: dict[Any, Row | None]) -> None:
        for id, row in rows.items():
            if row is None:
                self.messages.pop(id, None)
            else:
                self.messages[id] = row

    def commit(self, rows: dict[Any, Row | None], synced: bool) -> None:
        if synced:
            self.unsynced.clear()
        elif rows:
            self.unsynced.append({id: self.messages.get(id) for id in rows})
        self._put(rows)


class Transaction:
    """One transaction, in the words that the rules need."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection
        self._changes: dict[Any, Row | None] = {}
        self._locked: list[Any] = []
        self._shared: list[int] = []
        self._kept: list[int] = []
        self._said: list[tuple[str, Any, Any]] = []
        self.notices: list[tuple[str, str]] = []
        self.server_start = database.server_start
        self.over = False

    @property
    def now(self) -> float:
        return self._database.scheduler.now

    def guarded(self, guard: str) -> bool:
        return guard not in self._database.off

    # -- rows -----------------------------------------------------------------------------

    def row(self, id: Any) -> Row | None:
        if id in self._changes:
            return self._changes[id]
        return self._database.messages.get(id)

    def rows(self) -> list[Row]:
        if not self._changes:
            return list(self._database.messages.values())
        merged = {**self._database.messages, **self._changes}
        return [row for row in merged.values() if row is not None]

    def lock(self, id: Any, wanted: Callable[[Row], bool] = lambda _row: True) -> Row | None:
        """The row, locked to the end of the transaction, if it is as wanted; waits for others."""
        database, until = self._database, self.now + _LOCK_WAIT_S
        row = self.row(id)
        if row is None or not wanted(row):
            return None
        while (owner := database.locks.get(id)) is not None and owner is not self:
            database.scheduler.block(until - self.now, database.waiting)
            self._connection.check()
            if self.now >= until:
                raise DatabaseUnavailable("PostgreSQL did not answer in time")
        row = self.row(id)
        if row is None or not wanted(row):
            return None
        if owner is None:
            database.locks[id] = self
            self._locked.append(id)
        return row

    def insert(self, row: Row) -> None:
        self._changes[row.id] = row
        self._said.append(("sent", row.id, row))

    def change(self, row: Row, **values: Any) -> None:
        self._changes[row.id] = row.changed(**values)

    def delete(self, row: Row) -> None:
        self._changes[row.id] = None

    def next_position(self) -> int:
        self._database.position += 1
        return self._database.position

    def new_id(self) -> UUID:
        self._database.serial += 1
        return UUID(int=(1 << 100) + self._database.serial)

    # -- what the judge hears, once it has committed ------------------------------------------

    def note_claim(self, id: Any) -> None:
        self._database.serial += 1
        self._connection.process.claims[id] = self._database.serial
        self._said.append(("claimed", id, self._database.serial))

    def note_burial(self, id: Any) -> None:
        self._said.append(("buried", id, None))

    def note_set_aside(self, id: Any) -> None:
        self._said.append(("set aside", id, None))

    def note_effect(self, id: Any, last: bool) -> None:
        claim = self._connection.process.claims.get(id)
        self._said.append(("effect" if last else "step", id, claim))

    # -- advisory locks -----------------------------------------------------------------------

    def hold(self, key: int) -> bool:
        """pg_try_advisory_lock."""
        free = self._database.sessions.get(key, self._connection) is self._connection
        if not free or any(tx is not self for tx in self._database.sharers.get(key, ())):
            return False
        self._database.sessions[key] = self._connection
        return True

    def free(self, key: int) -> bool:
        return self._database.sessions.pop(key, None) is not None

    def share(self, key: int) -> bool:
        """pg_try_advisory_xact_lock_shared."""
        if self.locked_elsewhere(key):
            return False
        self._database.sharers.setdefault(key, []).append(self)
        self._shared.append(key)
        return True

    def locked_elsewhere(self, key: int) -> bool:
        return self._database.sessions.get(key, self._connection) is not self._connection

    def take_promise(self, position: int) -> bool:
        owners = self._database.promises.setdefault(position, [])
        if owners and owners[0] is not self._connection:
            return False
        owners.append(self._connection)  # a session may take a lock more than once
        return True

    def keep_promise(self, position: int) -> None:
        """pg_try_advisory_xact_lock."""
        if self.take_promise(position):
            self._kept.append(position)

    def promised_elsewhere(self, position: int) -> bool:
        owners = self._database.promises.get(position)
        return bool(owners) and owners[0] is not self._connection

    def end_promise(self, position: int) -> bool:
        owners = self._database.promises.get(position, [])
        if not owners or owners[0] is not self._connection:
            return False
        owners.pop()
        return True

    def announce(self) -> list[Any]:
        self._database.beat_at = self.now
        return []

    def leader_age(self) -> float:
        return self.now - self._database.beat_at

    def depose(self, key: int) -> list[Any]:
        leader = self._database.sessions.get(key)
        if leader is not None:
            self._database.end(leader)
        return []

    # -- the end ------------------------------------------------------------------------------

    def commit(self) -> None:
        database = self._database
        if self._changes or self._said:
            database.commit(self._changes, self._connection.synced)
        for said in self._said:
            database.log(*said)
        for channel, payload in self.notices:
            for connection in database.connections:
                if channel in connection.channels:
                    connection.notes.append(payload)
                    database.scheduler.wake(connection.readers)
        self._finish()

    def rollback(self) -> None:
        self._finish()

    def _finish(self) -> None:
        self.over = True
        for position in self._kept:
            self.end_promise(position)
        if not self._locked and not self._shared:
            return
        for id in self._locked:
            del self._database.locks[id]
        for key in self._shared:
            self._database.sharers[key].remove(self)
        self._database.scheduler.wake(self._database.waiting)
