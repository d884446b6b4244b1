"""A model of a connection to the database, as psycopg and BoundedConnection look from outside.

One that is cut, or whose process died, ends on the server a moment later. The loss is raised as
psycopg's OperationalError, which the code that runs has to turn into DatabaseUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from pizza.database.connection import BoundedConnection
from pizza.database.errors import DatabaseUnavailable

from .database import Database
from .scheduler import Killed, Process, Waiters
from .transaction import Transaction

# Instead of ten seconds: how long a statement may wait.
LIMIT_S = 2.0
_LOCK_TIMEOUT = "set lock_timeout = '"


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
    """Replaces BoundedConnection. At each statement another fiber may continue."""

    clock_offset = timedelta()
    statement_timeout: float | None = LIMIT_S
    deadline: float | None = None
    abort_event: Any = None
    last_error: BaseException | None = None
    lock_timeout: float | None = None
    remaining = BoundedConnection.remaining
    raised = BoundedConnection.raised

    def __init__(self, database: Database, process: Process, statements: Any, travel: Any) -> None:
        self.process = process
        self.closed = self.ended = self.broken = False
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
        """Raise when the server or this process is gone."""
        if self.process.dead:
            raise Killed
        if self.ended and not self.closed:
            self.closed = self.broken = True
        if self.closed:
            raise psycopg.OperationalError("the connection is lost")

    def execute(self, query: str, parameters: Any = None) -> Rows:
        try:
            return self._execute(query, parameters)
        except DatabaseUnavailable as error:
            self.last_error = error
            self.close()
            raise
        except psycopg.Error as error:
            self.last_error = error
            raise

    def _execute(self, query: str, parameters: Any) -> Rows:
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
            raise
        finally:
            if alone and not self.process.dead:
                self.tx = None

    def _configure(self, query: str) -> Sequence[Any]:
        if query.startswith("listen "):
            self.channels.add(query.split()[1].strip('"'))
        elif query.startswith("set synchronous_commit"):
            self.synced = False
        elif query.startswith(_LOCK_TIMEOUT):
            given = query.removeprefix(_LOCK_TIMEOUT).rstrip("'")
            milliseconds = given.endswith("ms")
            self.lock_timeout = float(given.rstrip("ms")) / (1000 if milliseconds else 1)
            # Candidates and the leader: their statements are many, so fewer are places to stop.
            self._pace = 2.5
        else:
            assert query == "select 1", query
        return [(1,)]

    def fetch_first(self, query: str, parameters: Any = None, row: Any = None) -> Any:
        found = self.execute(query, parameters).fetchone()
        if row is None and isinstance(found, dict):
            return tuple(found.values())
        return found

    @contextmanager
    def cursor(self, *, row_factory: Any) -> Generator[Connection]:
        """The rules return named tuples on request."""
        del row_factory
        yield self

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
        if self.process.dead:
            return
        if not tx.over:
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
