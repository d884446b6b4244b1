"""A transaction of the modelled PostgreSQL: row locks, advisory locks, notices, commit.

A statement that wants a row which another transaction has locked waits, for as long as the
connection allows, and then reads the row again (read committed).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

from pizza.database.errors import DatabaseUnavailable

from .database import Database, Row

if TYPE_CHECKING:
    from .connection import Connection

Wanted = Callable[[Row], bool]
_NEVER = float("inf")


def _any(_row: Row) -> bool:
    return True


class Transaction:
    """One transaction, in the words that the rules need."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self.connection = connection
        self._changes: dict[str, dict[Any, Any]] = {}
        self._locked: list[Any] = []
        self._shared: list[Any] = []
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

    def pause(self, seconds: float) -> None:
        """pg_sleep."""
        scheduler = self._database.scheduler
        if scheduler.current is not None:
            scheduler.pause(seconds)
            self.connection.check()

    # -- tables ---------------------------------------------------------------------------

    def get(self, table: str, key: Any) -> Any:
        changes = self._changes.get(table)
        if changes and key in changes:
            return changes[key]
        return self._database.tables[table].get(key)

    def put(self, table: str, key: Any, value: Any) -> None:
        """Write a row; None deletes it."""
        self._changes.setdefault(table, {})[key] = value

    def items(self, table: str) -> list[tuple[Any, Any]]:
        rows = self._database.tables[table]
        if changes := self._changes.get(table):
            rows = {k: v for k, v in {**rows, **changes}.items() if v is not None}
        return list(rows.items())

    # -- messages -------------------------------------------------------------------------

    def row(self, id: Any) -> Row | None:
        return self.get("message", id)

    def rows(self) -> list[Row]:
        if not self._changes:
            return list(self._database.messages.values())
        return [row for _, row in self.items("message")]

    def lock(self, id: Any, wanted: Wanted = _any) -> Row | None:
        """The row, locked to the end of the transaction, if it is as wanted; waits for others."""
        row = self.row(id)
        if row is None or not wanted(row):
            return None
        self.lock_key(id)
        row = self.row(id)
        return row if row is not None and wanted(row) else None

    def skip(self, id: Any, wanted: Wanted = _any) -> Row | None:
        """As `lock`, but of a row that another transaction has locked None: `skip locked`."""
        owner = self._database.locks.get(id)
        if owner is not None and owner is not self and self.guarded("skip locked"):
            return None
        return self.lock(id, wanted)

    def lock_key(self, key: Any) -> None:
        """Lock what has this key. Raises what a wait that is too long raises."""
        database, scheduler = self._database, self._database.scheduler
        owner = database.locks.get(key)
        if owner is self:
            return
        if owner is not None:
            connection = self.connection
            until = self._from_now(connection.remaining)
            timeout = connection.lock_timeout if self.guarded("skip locked") else None
            lock_until = self._from_now(timeout)
            abort = connection.abort_event
            aborted = [abort.waiters] if abort is not None else []
            while owner is not None:
                if scheduler.current is None or self.now >= lock_until:
                    raise psycopg.errors.LockNotAvailable("a lock is not to be had in time")
                end = min(until, lock_until)
                left = None if end == _NEVER else end - self.now
                scheduler.block(left, database.waiting, *aborted)
                connection.check()
                owner = database.locks.get(key)
                if owner is not None and (
                    self.now >= until or (abort is not None and abort.is_set())
                ):
                    raise DatabaseUnavailable("PostgreSQL did not answer in time")
        database.locks[key] = self
        self._locked.append(key)

    def _from_now(self, seconds: float | None) -> float:
        return _NEVER if seconds is None else self.now + seconds

    def insert(self, row: Row) -> None:
        self.put("message", row.id, row)
        self._said.append(("sent", row.id, row))

    def change(self, row: Row, **values: Any) -> None:
        self.put("message", row.id, row.changed(**values))

    def delete(self, row: Row) -> None:
        self.put("message", row.id, None)

    def next_position(self) -> int:
        self._database.position += 1
        return self._database.position

    def new_id(self) -> UUID:
        self._database.serial += 1
        return UUID(int=(1 << 100) + self._database.serial)

    # -- what the checker gets after the commit ------------------------------------------------

    def note_claim(self, id: Any) -> None:
        self._database.serial += 1
        self.connection.process.claims[id] = self._database.serial
        self._said.append(("claimed", id, self._database.serial))

    def note(self, kind: str, id: Any, detail: Any = None) -> None:
        self._said.append((kind, id, detail))

    def note_effect(self, id: Any, last: bool) -> None:
        claim = self.connection.process.claims.get(id)
        self._said.append(("effect" if last else "step", id, claim))
        self._database.underway(self.connection.process)

    # -- advisory locks -----------------------------------------------------------------------

    def hold(self, key: Any) -> bool:
        """pg_try_advisory_lock."""
        free = self._database.sessions.get(key, self.connection) is self.connection
        if not free or any(tx is not self for tx in self._database.sharers.get(key, ())):
            return False
        self._database.sessions[key] = self.connection
        # A session that takes a lock again has to let it go as often.
        self._database.depths[key] = self._database.depths.get(key, 0) + 1
        return True

    def free(self, key: Any) -> bool:
        """pg_advisory_unlock."""
        if self._database.sessions.get(key) is not self.connection:
            return False
        self._database.depths[key] -= 1
        if not self._database.depths[key]:
            del self._database.sessions[key], self._database.depths[key]
        return True

    def share(self, key: Any) -> bool:
        """pg_try_advisory_xact_lock_shared."""
        if self.locked_elsewhere(key):
            return False
        self._database.sharers.setdefault(key, []).append(self)
        self._shared.append(key)
        return True

    def locked_elsewhere(self, key: Any) -> bool:
        return self._database.sessions.get(key, self.connection) is not self.connection

    def owns(self, key: Any, connection: Any) -> bool:
        """Whether that connection holds the lock."""
        return self._database.sessions.get(key) is connection

    def terminate(self, key: Any) -> int:
        return self._database.terminate(key, self.connection)

    def acquire_reservation(self, position: int) -> bool:
        owners = self._database.reservations.setdefault(position, [])
        if owners and owners[0] is not self.connection:
            return False
        owners.append(self.connection)  # a session may take a lock more than once
        return True

    def hold_reservation(self, position: int) -> None:
        """pg_try_advisory_xact_lock."""
        if self.acquire_reservation(position):
            self._kept.append(position)

    def reserved_by_other(self, position: int) -> bool:
        owners = self._database.reservations.get(position, [])
        return bool(owners) and owners[0] is not self.connection

    def release_reservation(self, position: int) -> bool:
        owners = self._database.reservations.get(position, [])
        if not owners or owners[0] is not self.connection:
            return False
        owners.pop()
        return True

    # -- the end ------------------------------------------------------------------------------

    def commit(self) -> None:
        database = self._database
        if self._changes or self._said:
            database.commit(self._changes, self.connection.synced)
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
            self.release_reservation(position)
        if not self._locked and not self._shared:
            return
        for id in self._locked:
            del self._database.locks[id]
        for key in self._shared:
            self._database.sharers[key].remove(self)
        self._database.scheduler.wake(self._database.waiting)
