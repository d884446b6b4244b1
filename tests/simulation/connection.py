"""A model of a connection to the database, as psycopg and BoundedConnection look from outside.

One that is cut, or whose process died, ends on the server a moment later.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pizza.database.errors import DatabaseUnavailable

from .database import Database, Transaction
from .scheduler import Killed, Process, Waiters


class Rows:
    """The answer to a statement."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows
        self.rowcount = len(rows)

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> Sequence[Any]:
        return self._rows


class Connection:
    """What stands in for BoundedConnection. Each statement is a place for another to go on."""

    ahead = timedelta()

    def __init__(self, database: Database, process: Process, statements: Any, travel: Any) -> None:
        self.process = process
        self.closed = self.ended = False
        self.synced = True
        self._pace = 1.0
        self.tx: Transaction | None = None
        self.channels: set[str] = set()
        self.notes: list[str] = []
        self.readers: Waiters = []
        self._database = database
        self._statements = statements
        self._travel = travel
        database.connections.append(self)
        process.at_death.append(self._left_behind)

    def _left_behind(self) -> None:
        scheduler = self._database.scheduler
        scheduler.at(scheduler.rng.random() * 0.3, lambda: self._database.end(self))

    def check(self) -> None:
        """Raise when there is no server at the other end, or nobody at this one."""
        if self.process.dead:
            raise Killed
        if self.ended or self.closed:
            self.close()
            raise DatabaseUnavailable("the connection is lost")

    def execute(self, query: str, parameters: Any = None) -> Rows:
        when = self._database.scheduler.rng.random() * self._pace
        if when < 0.35:
            self._travel()
        self.check()
        rows = self._run(query, parameters)
        if 0.35 <= when < 0.7:
            self._travel()
            self.check()
        return Rows(rows)

    def _run(self, query: str, parameters: Any) -> Sequence[Any]:
        rule = self._statements(query)
        if rule is None:
            return self._configure(query)
        alone = self.tx is None
        tx = self.tx = self.tx or Transaction(self._database, self)
        try:
            rows: Sequence[Any] = rule(tx, parameters)
            if alone:
                tx.commit()
            return rows
        except BaseException as error:
            if alone and not tx.over and not isinstance(error, Killed):
                tx.rollback()
            if isinstance(error, DatabaseUnavailable):
                self._database.end(self)
            raise
        finally:
            if alone and not self.process.dead:
                self.tx = None

    def _configure(self, query: str) -> Sequence[Any]:
        if query.startswith("listen "):
            self.channels.add(query.split()[1])
        elif query.startswith("set synchronous_commit"):
            # The leading relay: its statements are many, so fewer of them are places to stop.
            self.synced, self._pace = False, 2.0
        else:
            assert query == "select 1", query
        return [(1,)]

    def first(self, query: str, parameters: Any = None, row: Any = None) -> Any:
        found = self.execute(query, parameters).fetchone()
        if row is None and isinstance(found, dict):
            return tuple(found.values())
        return found

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        self.check()
        tx = self.tx = Transaction(self._database, self)
        try:
            yield
        except BaseException:
            self._end(tx, tx.rollback)
            raise
        early = self._database.scheduler.rng.random() < 0.5
        if early:
            self._travel()
        self.check()
        self._end(tx, tx.commit)
        if not early:
            self._travel()
        self.check()

    def _end(self, tx: Transaction, how: Callable[[], None]) -> None:
        if not self.process.dead and not tx.over:
            how()
            self.tx = None

    def notifies(self, *, timeout: float, stop_after: int | None = None) -> Generator[Any]:
        self.check()
        if not self.notes and timeout > 0:
            self._database.scheduler.block(timeout, self.readers)
            self.check()
        notes, self.notes = self.notes, []
        yield from (_Note(payload) for payload in notes)

    def close(self) -> None:
        if not self.process.dead:
            self.closed = True
            self._database.end(self)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _Note:
    def __init__(self, payload: str) -> None:
        self.payload = payload
